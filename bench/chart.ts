// SVG bars from rows of a bench: one file a chart, readable on light and on dark pages. Used by bench/report.ts.
import type { Row } from './support/rows.ts'
import { US } from './support/rows.ts'
import { figure } from './support/table.ts'

export interface Chart {
  /** docs/performance-<name>.svg */
  readonly name: string
  readonly title: string
  readonly case: string
  /** One group of bars each. */
  readonly metrics: readonly string[]
  /** Where the shortest bar is the best. */
  readonly lowIsGood: boolean
}

export const CHARTS: readonly Chart[] = [
  {
    name: 'latency',
    title: 'A call and its answer, 64 B: median in microseconds (less is better)',
    case: 'rpc-latency',
    metrics: ['p50 64 B, one core'],
    lowIsGood: true,
  },
  {
    name: 'throughput',
    title: 'Calls a second, 128 in flight (more is better)',
    case: 'rpc-throughput',
    metrics: ['calls/s'],
    lowIsGood: false,
  },
  {
    name: 'fanout',
    title: 'Events delivered a second to 1, 8 and 32 subscribers (more is better)',
    case: 'fanout',
    metrics: ['to 1', 'to 8', 'to 32'],
    lowIsGood: false,
  },
]

const WIDTH = 760
const LABEL = 150
const VALUE = 150
const BAR = 18
const GAP = 6
const GROUP = 26
const TOP = 40

/** Undefined when the bench has no such rows. */
export function chartOf(chart: Chart, rows: readonly Row[]): string | undefined {
  const parts: string[] = []
  let y = TOP
  for (const metric of chart.metrics) {
    const bars = rows
      .filter((row) => row.case === chart.case && row.metric === metric)
      .sort((left, right) => (chart.lowIsGood ? left.value - right.value : right.value - left.value))
    if (bars.length === 0) continue
    if (chart.metrics.length > 1) {
      parts.push(`<text x="10" y="${y + 12}" class="group">${escape(metric)}</text>`)
      y += GROUP
    }
    const longest = Math.max(...bars.map((row) => row.value))
    for (const row of bars) {
      parts.push(bar(row, y, longest))
      y += BAR + GAP
    }
    y += GAP
  }
  if (parts.length === 0) return undefined
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" width="${WIDTH}" height="${y}" role="img">`,
    `<title>${escape(chart.title)}</title>`,
    '<style>',
    'text { font: 13px system-ui, sans-serif; fill: #333 } .head, .group { font-weight: 600 } .value { fill: #666 }',
    '.us { fill: #2f6fde } .other { fill: #b6bcc6 }',
    '@media (prefers-color-scheme: dark) { text { fill: #ddd } .value { fill: #aaa } .other { fill: #5a616c } }',
    '</style>',
    `<text x="10" y="20" class="head">${escape(chart.title)}</text>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n')
}

function bar({ subject, value, vsUs }: Row, y: number, longest: number): string {
  const length = Math.max(1, Math.round(((WIDTH - LABEL - VALUE) * value) / longest))
  const middle = y + BAR - 5
  const ratio = subject === US || vsUs === null ? '' : ` (${figure(vsUs)}x)`
  return [
    `<text x="${LABEL - 8}" y="${middle}" text-anchor="end">${escape(subject)}</text>`,
    `<rect x="${LABEL}" y="${y}" width="${length}" height="${BAR}" rx="2" class="${subject === US ? 'us' : 'other'}"/>`,
    `<text x="${LABEL + length + 8}" y="${middle}" class="value">${figure(value)}${ratio}</text>`,
  ].join('\n')
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
