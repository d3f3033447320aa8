import { DatabaseSync } from 'node:sqlite'
import { fault, type Fault } from './fault.ts'
import type { Journal } from './journal.ts'

export interface WriteFigures {
  readonly acknowledged: number
  readonly lost: number
  readonly duplicated: number
  readonly phantom: number
  /** Writes whose end nobody knows. */
  readonly open: number
  readonly integrity: boolean
}

/** What lies in the database: the keys of all rows, and what SQLite says of the file. */
export interface Found {
  readonly items: readonly string[]
  readonly integrity: string
}

/** The table that the writers fill: `item` is not unique, so that a repeated write shows. */
export const TABLE = 'create table entry(id integer primary key, item text not null, writer text not null) strict'

/** Reads the file itself, when every process that wrote is gone. */
export function readDatabase(path: string): Found {
  using database = new DatabaseSync(path)
  const integrity = database.prepare('pragma integrity_check').all() as { integrity_check: string }[]
  const rows = database.prepare('select item from entry order by id').all() as { item: string }[]
  return { items: rows.map(({ item }) => item), integrity: integrity.map((row) => row.integrity_check).join('; ') }
}

/** Every acknowledged write is there once, none that was reported as not committed, and none that nobody sent. */
export function checkWrites(
  journals: readonly Journal[],
  found: Found,
  alive: ReadonlySet<string>,
): { faults: Fault[]; figures: WriteFigures } {
  const ends = new Map<string, 'acknowledged' | 'committed' | 'not-committed' | 'unknown' | 'open'>()
  const faults: Fault[] = []
  const writers = new Map<string, string>()
  for (const { name, lines } of journals) {
    for (const line of lines) {
      if (line.k === 'invoke' && line.op === 'write') {
        ends.set(line.item, 'open')
        writers.set(line.item, name)
      } else if (!('item' in line) || !ends.has(line.item)) continue
      else if (line.k === 'ok') ends.set(line.item, 'acknowledged')
      else if (line.k === 'no') ends.set(line.item, line.outcome === 'not-committed' ? 'not-committed' : 'unknown')
      else if (line.k === 'outcome') {
        if (line.outcome === 'committed' || line.outcome === 'not-committed') ends.set(line.item, line.outcome)
      }
    }
  }
  const times = new Map<string, number>()
  for (const item of found.items) times.set(item, (times.get(item) ?? 0) + 1)
  const count = { acknowledged: 0, lost: 0, duplicated: 0, phantom: 0, open: 0 }
  for (const [item, n] of times) {
    const end = ends.get(item)
    if (n > 1) {
      count.duplicated++
      faults.push(fault('duplicated', `${item} is there ${n} times`))
    }
    if (end === undefined || end === 'not-committed') {
      count.phantom++
      const why = end === undefined ? 'nobody sent it' : `${writers.get(item)} was told that it was not committed`
      faults.push(fault('phantom', `${item} is there, but ${why}`))
    }
  }
  for (const [item, end] of ends) {
    if (end === 'acknowledged') count.acknowledged++
    if (end === 'unknown' || end === 'open') count.open++
    if ((end === 'acknowledged' || end === 'committed') && !times.has(item)) {
      count.lost++
      faults.push(fault('lost', `${item} was ${end} to ${writers.get(item)}, and is not there`))
    }
    if (end === 'open' && alive.has(writers.get(item)!)) {
      faults.push(fault('hung', `${item} of ${writers.get(item)} never settled`))
    }
  }
  if (found.integrity !== 'ok') faults.push(fault('integrity', found.integrity))
  return { faults, figures: { ...count, integrity: found.integrity === 'ok' } }
}
