// A process that opens the file itself, as SQLite's documentation advises for several writers: WAL, and a busy timeout.
import { DatabaseSync } from 'node:sqlite'
import type { Commands } from '../support/side.ts'
import { INSERT, TABLE, TEXT, type Durability, type Writing } from './sqlite.ts'

const SQLITE_BUSY = 5

export interface PlainOptions {
  readonly file: string
  readonly durability: Durability
}

export async function start({ file, durability }: PlainOptions): Promise<Commands> {
  const database = new DatabaseSync(file)
  database.exec('pragma busy_timeout = 5000')
  database.exec('pragma journal_mode = wal')
  database.exec(`pragma synchronous = ${durability}`)
  database.exec(TABLE.replace('create table', 'create table if not exists'))
  const insert = database.prepare(INSERT)
  return {
    /** One insert after the other, each its own transaction. */
    write({ forMs }: { readonly forMs: number }): Writing {
      let [writes, worstMs, busy] = [0, 0, 0]
      const end = performance.now() + forMs
      for (let begin = performance.now(); begin < end;) {
        try {
          insert.run(TEXT)
          writes++
        } catch (error) {
          if (((error as { readonly errcode?: number }).errcode ?? 0) % 256 !== SQLITE_BUSY) throw error
          busy++
        }
        const now = performance.now()
        worstMs = Math.max(worstMs, now - begin)
        begin = now
      }
      return { writes, worstMs, busy }
    },
    /** So many inserts to a transaction. */
    batched({ forMs, batch }: { readonly forMs: number; readonly batch: number }): number {
      let writes = 0
      const begin = performance.now()
      while (performance.now() - begin < forMs) {
        database.exec('begin immediate')
        for (let n = 0; n < batch; n++) insert.run(TEXT)
        database.exec('commit')
        writes += batch
      }
      return writes / ((performance.now() - begin) / 1000)
    },
  }
}
