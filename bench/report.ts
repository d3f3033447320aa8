// node bench/report.ts bench.json: writes the figures of a run (`npm run bench -- --json > bench.json`) into
// docs/performance.md, between its two comments, and the charts beside it.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { CASES } from './cases/index.ts'
import { chartOf, CHARTS } from './chart.ts'
import type { BenchDocument } from './support/document.ts'
import { figure, markdownTable, ROW_HEADS, rowCells, VERDICT_HEADS, verdictCells } from './support/table.ts'

const DOCS = join(import.meta.dirname, '..', 'docs')
const PAGE = join(DOCS, 'performance.md')
const BEGIN = '<!-- bench: begin (node bench/report.ts writes what follows) -->'
const END = '<!-- bench: end -->'
/** Above it, others were at work when the run began. */
const QUIET_LOAD = 0.3

const [file] = process.argv.slice(2)
if (file === undefined) {
  process.stderr.write('node bench/report.ts bench.json\n')
  process.exit(64)
}
const bench = JSON.parse(readFileSync(file, 'utf8')) as BenchDocument
const page = readFileSync(PAGE, 'utf8')
const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)]
if (begin < 0 || end < begin) throw new Error(`${PAGE} has lost its comments`)
const text = `${page.slice(0, begin)}${BEGIN}\n\n${figures(bench)}\n\n${page.slice(end)}`
writeFileSync(PAGE, await format(text, { ...(await resolveConfig(PAGE)), filepath: PAGE }))
for (const chart of CHARTS) {
  const svg = chartOf(chart, bench.rows)
  if (svg !== undefined) writeFileSync(join(DOCS, `performance-${chart.name}.svg`), svg)
}

function figures({ about, rows, targets, skipped }: BenchDocument): string {
  const [before, after] = about.load
  const busy =
    before > QUIET_LOAD
      ? `**Others were at work on the machine** (load ${figure(before)} when the run began): the ratios hold by and large, the absolute figures and the 99th percentiles do not.`
      : `Nobody else was at work (load ${figure(before)} when the run began, ${figure(after)} at its end).`
  const versions = Object.entries(about.versions).map(([name, version]) => `${name} ${version}`)
  const machine = `${about.date.slice(0, 10)}, Node ${about.node}, ${about.system}, ${about.cores} cores (${about.cpu}), ${about.memoryGiB} GiB.`
  const charts = CHARTS.filter((chart) => rows.some((row) => row.case === chart.case))
  const sections = CASES.flatMap(({ name, title }) => {
    const lines = rows.filter((row) => row.case === name)
    if (lines.length === 0) return []
    return [`### ${name}`, `${title}.`, markdownTable(ROW_HEADS, lines.map(rowCells))]
  })
  const missing = skipped.map(
    ({ case: benchCase, subject, reason }) => `- ${benchCase}, ${subject}: ${reason.split('\n')[0]}`,
  )
  return [
    `${machine} ${versions.join(', ')}.${about.quick ? ' **A smoke test (`--quick`): its figures mean nothing.**' : ''}`,
    busy,
    ...charts.map(({ name, title }) => `![${title}](performance-${name}.svg)`),
    '### Targets',
    markdownTable(VERDICT_HEADS, targets.map(verdictCells)),
    ...sections,
    ...(missing.length > 0 ? ['### Not measured', missing.join('\n')] : []),
  ].join('\n\n')
}
