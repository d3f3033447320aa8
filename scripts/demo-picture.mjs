// Makes docs/demo.svg: runs `conclave demo` and draws its last picture. Arguments go on to the demo.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'demo-picture-'))
const target = join(root, 'docs', 'demo.svg')

const CELL = { width: 8.4, height: 20, padding: 22, bar: 40 }
const COLUMNS = 96
const BACKGROUND = '#0d1117'
const TONES = {
  plain: '#e6edf3',
  dim: '#7d8590',
  bold: '#e6edf3',
  primary: '#e3b341',
  secondary: '#39c5cf',
  killed: '#8e4a49',
  late: '#bc8cff',
  good: '#3fb950',
  bad: '#f85149',
  accent: '#e3b341',
}
const BLOCKS = '▏▎▍▌▋▊▉█'

try {
  const frame = join(folder, 'frame.json')
  const flags = ['--conditions=source', join(root, 'src', 'cli', 'main.ts'), 'demo', '--json', '--frame', frame]
  const run = spawnSync(process.execPath, [...flags, ...process.argv.slice(2)], { cwd: root, encoding: 'utf8' })
  if (run.status !== 0) throw new Error(`conclave demo ended with ${run.status ?? run.signal}: ${run.stderr}`)
  // The picture is of any checkout: its own path says nothing.
  const lines = JSON.parse(readFileSync(frame, 'utf8').replaceAll(`${root}/`, ''))
  const svg = draw([[{ text: '$ npx conclave demo', tone: 'dim' }], [], ...lines])
  writeFileSync(target, svg)
  process.stdout.write(`docs/demo.svg: ${svg.length} bytes\n${summary(run.stdout)}\n`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}

/** @param {readonly (readonly { text: string, tone: keyof typeof TONES }[])[]} lines */
function draw(lines) {
  const width = Math.round(COLUMNS * CELL.width + 2 * CELL.padding)
  const height = CELL.bar + lines.length * CELL.height + CELL.padding
  const body = lines.flatMap((line, row) => drawLine(line, CELL.bar + row * CELL.height))
  const dots = ['#ff5f57', '#febc2e', '#28c840'].map(
    (fill, i) => `<circle cx="${CELL.padding + 4 + 20 * i}" cy="20" r="6" fill="${fill}"/>`,
  )
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    '<title>conclave demo: processes index a folder and carry on while some are killed</title>',
    `<rect width="${width}" height="${height}" rx="10" fill="${BACKGROUND}"/>`,
    ...dots,
    `<g font-family="ui-monospace,SFMono-Regular,Menlo,Consolas,monospace" font-size="14">`,
    ...body,
    '</g>',
    '</svg>',
  ].join('\n')}\n`
}

/** Bars are rectangles, whatever font shows the text. */
function drawLine(line, top) {
  const drawn = []
  let column = 0
  for (const { text, tone } of line) {
    const indent = text.length - text.trimStart().length
    const x = round(CELL.padding + (column + indent) * CELL.width)
    column += text.length
    const shown = text.trim()
    if (shown === '') continue
    if (BLOCKS.includes(shown[0])) {
      const cells = [...shown].reduce((sum, sign) => sum + (BLOCKS.indexOf(sign) + 1) / BLOCKS.length, 0)
      drawn.push(
        `<rect x="${x}" y="${top + 4}" width="${round(cells * CELL.width)}" height="12" rx="2" fill="${TONES[tone]}"/>`,
      )
    } else if (/^·+$/.test(shown)) {
      const cells = shown.length
      drawn.push(`<rect x="${x}" y="${top + 9}" width="${round(cells * CELL.width)}" height="2" fill="#30363d"/>`)
    } else {
      const weight = tone === 'bold' ? ' font-weight="bold"' : ''
      const length = round(shown.length * CELL.width)
      drawn.push(
        `<text x="${x}" y="${top + 15}" fill="${TONES[tone]}"${weight} textLength="${length}">${escape(shown)}</text>`,
      )
    }
  }
  return drawn
}

function summary(json) {
  const { files, lost, duplicated, terms, failovers, durationMs } = JSON.parse(json)
  return `${files} files, ${lost} lost, ${duplicated} duplicated, ${terms} terms, failovers ${failovers.map(({ ms }) => `${ms} ms`).join(', ')}, ${durationMs} ms`
}

function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

function round(value) {
  return Math.round(value * 10) / 10
}
