// npm run bench [-- names] [--json] [--quick]: ourselves and our peers in one run, each side in its own processes.
import { mkdirSync } from 'node:fs'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { CASES } from './cases/index.ts'
import { Bench, endWithRunner, messageOf } from './support/bench.ts'
import { freshBuild } from './support/build.ts'
import { about, loadNow, type BenchDocument } from './support/document.ts'
import { plainTable, ROW_HEADS, rowCells, VERDICT_HEADS, verdictCells } from './support/table.ts'
import { judge } from './targets.ts'

const HELP = `npm run bench -- [names] [options]

names                ${CASES.map(({ name }) => name).join(', ')}; default: all
--json               one JSON document on standard output: { about, rows, targets, skipped }
--quick              a smoke test: few runs, small counts; its figures mean nothing
--rounds N           rounds of each interleaved case; default: 7 or 9, five are the least to trust
--only SUBJECT       measure only subjects whose name contains this; repeat it for more
--profile DIR        CPU profiles of our own processes (use it with --only conclave)
--no-build           measure dist/ as it is, even when src/ is newer
`

function readWords() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        json: { type: 'boolean', default: false },
        quick: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false, short: 'h' },
        'no-build': { type: 'boolean', default: false },
        only: { type: 'string', multiple: true, default: [] },
        profile: { type: 'string' },
        rounds: { type: 'string' },
      },
    })
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n\n${HELP}`)
    process.exit(64)
  }
}

const { values, positionals } = readWords()
const rounds = values.rounds === undefined ? undefined : Number(values.rounds)
if (rounds !== undefined && !(Number.isSafeInteger(rounds) && rounds > 0)) {
  process.stderr.write(`--rounds is a whole number of at least 1.\n\n${HELP}`)
  process.exit(64)
}
const unknown = positionals.filter((name) => !CASES.some((one) => one.name === name))
if (values.help || unknown.length > 0) {
  const text = unknown.length > 0 ? `There is no case ${unknown.join(', ')}.\n\n${HELP}` : HELP
  ;(unknown.length > 0 ? process.stderr : process.stdout).write(text)
  process.exit(unknown.length > 0 ? 64 : 0)
}

endWithRunner()
try {
  if (!values['no-build']) freshBuild()
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`)
  process.exit(1)
}
const profile = values.profile === undefined ? undefined : resolve(values.profile)
if (profile !== undefined) mkdirSync(profile, { recursive: true })

const chosen = CASES.filter(({ name }) => positionals.length === 0 || positionals.includes(name))
const log = (text: string): void => void process.stderr.write(`${text}\n`)
const bench = new Bench({ quick: values.quick, rounds, profile, only: values.only, log })
const loadBefore = loadNow()
for (const one of chosen) {
  try {
    await one.run(bench)
  } catch (error) {
    bench.skip(one.name, 'all', messageOf(error))
  }
}

const document: BenchDocument = {
  about: about(values.quick, loadBefore),
  rows: bench.results.rows(),
  targets: judge(bench.results, new Set(chosen.map(({ name }) => name))),
  skipped: bench.skipped,
}
if (values.json) process.stdout.write(`${JSON.stringify(document, undefined, 1)}\n`)
else print(document)

function print({ about: { cores, cpu, load, node, quick }, rows, targets, skipped }: BenchDocument): void {
  console.log(
    `Node ${node}, ${cores} cores (${cpu}), load ${load.join(' to ')}${quick ? ', quick: no figures to trust' : ''}`,
  )
  for (const { name, title } of chosen) {
    const lines = rows.filter((row) => row.case === name)
    if (lines.length > 0) console.log(`\n${name}: ${title}\n${plainTable(ROW_HEADS, lines.map(rowCells))}`)
  }
  if (targets.length > 0) console.log(`\nTargets\n${plainTable(VERDICT_HEADS, targets.map(verdictCells))}`)
  if (skipped.length > 0) {
    console.log(
      `\nSkipped\n${plainTable(
        ['case', 'subject', 'reason'],
        skipped.map((one) => [one.case, one.subject, one.reason]),
      )}`,
    )
  }
}
