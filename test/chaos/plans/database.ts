import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Fault } from '../checkers/fault.ts'
import type { Journal } from '../checkers/journal.ts'
import { checkWrites, readDatabase, TABLE, type WriteFigures } from '../checkers/writes.ts'
import type { Round } from '../support/chaos.ts'

const FILE = 'app.db'

/** What members that write join with. */
export const DATABASE: object = { database: { file: FILE, migrations: [TABLE] } }

/** What lies in the round's database, against what its writers were told. For when all of them have ended. */
export function checkDatabase(
  { directory }: Round,
  journals: readonly Journal[],
  alive: ReadonlySet<string>,
): { faults: Fault[]; figures: WriteFigures } {
  const path = join(directory, 'w', FILE)
  const found = existsSync(path) ? readDatabase(path) : { items: [], integrity: 'there is no file' }
  return checkWrites(journals, found, alive)
}
