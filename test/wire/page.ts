import { readFileSync } from 'node:fs'

const page = readFileSync(new URL('../../docs/wire.md', import.meta.url), 'utf8')

/** The rows of the table of docs/wire.md whose head begins with these cells; back quotes and links are taken off. */
export function table(...head: readonly string[]): readonly (readonly string[])[] {
  const rows = page.split('\n').map((line) =>
    line.startsWith('|')
      ? line
          .slice(1, -1)
          .split('|')
          .map((cell) => cell.replaceAll('`', '').trim())
      : undefined,
  )
  const at = rows.findIndex((row) => row !== undefined && head.every((cell, i) => row[i] === cell))
  if (at < 0) throw new Error(`docs/wire.md has no table with ${head.join(', ')}`)
  const end = rows.indexOf(undefined, at)
  return rows.slice(at + 2, end) as string[][]
}

/** Name and number of each row: `[KIND, 0x80]`. */
export function numbers(rows: readonly (readonly string[])[], name: number, value: number): [string, number][] {
  return rows.map((row) => [row[name] ?? '', Number(row[value])])
}
