import { ConclaveError } from '../errors/index.ts'
import type { Connection } from './driver.ts'

/*
 * The tables that the coordinator keeps in the user's database, in the transactions of the user's writes. Their names
 * begin with `_conclave_`; docs/durability.md describes them.
 */

/** Layout of these tables. A higher one was written by a later version of this package. */
const LAYOUT = 1

const TABLES = `
CREATE TABLE IF NOT EXISTS _conclave_term(
  one INTEGER PRIMARY KEY CHECK (one = 1),
  term INTEGER NOT NULL,
  lock TEXT NOT NULL,
  layout INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS _conclave_writers(
  id INTEGER PRIMARY KEY,
  writer TEXT NOT NULL UNIQUE,
  last INTEGER NOT NULL,
  watermark INTEGER NOT NULL,
  outcomes TEXT NOT NULL,
  closed INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS _conclave_keys(
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  digest TEXT NOT NULL,
  at INTEGER NOT NULL,
  answer TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS _conclave_migrations(
  number INTEGER PRIMARY KEY,
  checksum TEXT NOT NULL,
  at INTEGER NOT NULL
) STRICT;
`

export interface TermRow {
  readonly term: number
  /** `dev:ino` of the workspace's lock. */
  readonly lock: string
}

/** What the database knows of terms; `undefined` for a file that no primary has served from. @throws `UNSUPPORTED` */
export function readTerm(connection: Connection): TermRow | undefined {
  if (!hasTable(connection, '_conclave_term')) return undefined
  const row = connection.prepare('SELECT term, lock, layout FROM _conclave_term').get([])
  if (row === undefined) return undefined
  if (Number(row['layout']) > LAYOUT) {
    const text =
      'The database was served by a later version of this package, which keeps its tables in another way: update this program.'
    throw new ConclaveError('UNSUPPORTED', text)
  }
  return { term: Number(row['term']), lock: String(row['lock']) }
}

/** Checksums of the migrations that were applied, in order. */
export function readMigrations(connection: Connection): string[] {
  if (!hasTable(connection, '_conclave_migrations')) return []
  const rows = connection.prepare('SELECT checksum FROM _conclave_migrations ORDER BY number').all([])
  return rows.map(({ checksum }) => String(checksum))
}

/**
 * Makes the term ours, in a transaction of its own (rule B8): from here on whoever served before finds another term and
 * commits no more. The name of the lock may differ from the recorded one (the folder was copied or made anew): the
 * caller holds the database's own lock (rule A2).
 * @throws `STALE_TERM` when the recorded term is not lower; SQLite's error while somebody else writes
 */
export function raiseTerm(connection: Connection, { term, lock }: TermRow): void {
  connection.exec('BEGIN IMMEDIATE')
  try {
    connection.exec(TABLES)
    const recorded = readTerm(connection)
    if (recorded !== undefined && recorded.term >= term) throw staleTerm(term, recorded)
    connection
      .prepare('INSERT OR REPLACE INTO _conclave_term(one, term, lock, layout) VALUES (1, ?, ?, ?)')
      .run([term, lock, LAYOUT])
    connection.exec('COMMIT')
  } catch (error) {
    if (connection.inTransaction) connection.exec('ROLLBACK')
    throw error
  }
}

export function staleTerm(ours: number, recorded: TermRow | undefined): ConclaveError {
  const found = recorded === undefined ? 'no term at all' : `term ${recorded.term}`
  const text = `The database holds ${found}, this primary serves term ${ours}: another one has taken over, and nothing more is committed here.`
  return new ConclaveError('STALE_TERM', text, { outcome: 'unknown', data: { ours, recorded: recorded?.term } })
}

function hasTable(connection: Connection, name: string): boolean {
  return connection.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").get([name]) !== undefined
}
