import type { Verdict } from '../targets.ts'
import type { Row } from './rows.ts'

/** Three digits that count. */
export function figure(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return '-'
  if (value === 0) return '0'
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))))
  const rounded = Number(value.toPrecision(3))
  return rounded.toLocaleString('en-US', { minimumFractionDigits: 0, maximumFractionDigits: digits })
}

const times = (value: number | null): string => (value === null ? '-' : `${figure(value)}x`)

export const ROW_HEADS = ['subject', 'metric', 'vs us', 'vs floor', 'median', 'unit', 'min', 'max', 'runs'] as const

export function rowCells(row: Row): readonly string[] {
  const { subject, metric, vsUs, vsFloor, value, unit, min, max, runs } = row
  return [subject, metric, times(vsUs), times(vsFloor), figure(value), unit, figure(min), figure(max), String(runs)]
}

export const VERDICT_HEADS = ['case', 'target', 'wanted', 'measured', ''] as const

export function verdictCells({ case: benchCase, text, wanted, value, met }: Verdict): readonly string[] {
  const sign = wanted.endsWith('x') ? 'x' : ''
  const word = met === null ? 'not measured' : met ? 'met' : 'not met'
  return [benchCase, text, wanted, value === null ? '-' : `${figure(value)}${sign}`, word]
}

/** For a terminal: columns of one width, figures to the right. */
export function plainTable(heads: readonly string[], lines: readonly (readonly string[])[]): string {
  const all = [heads, ...lines]
  const widths = heads.map((_, column) => Math.max(...all.map((line) => line[column]?.length ?? 0)))
  const left = heads.map((_, column) => lines.some((line) => !/^[-\d.,x]+$/.test(line[column] ?? '')))
  return all
    .map((line) =>
      line
        .map((cell, column) =>
          left[column] === true ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

export function markdownTable(heads: readonly string[], lines: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  return [row(heads), row(heads.map(() => '---')), ...lines.map(row)].join('\n')
}
