import { createHash } from 'node:crypto'
import { ConclaveError } from '../errors/index.ts'
import type { Connection } from './driver.ts'
import { readMigrations } from './schema.ts'
import { sqliteCode, sqliteName } from './sqlite-errors.ts'
import { LiveTx, isThenable, refuseThenable } from './tx.ts'
import type { Migration } from './types.ts'

/**
 * What a migration is known by: its text. A function is known as one only: its source differs between builds of one
 * program.
 */
export function checksumOf(migration: Migration): string {
  if (typeof migration === 'function') return 'function'
  return createHash('sha256').update(migration.replaceAll('\r\n', '\n').trim()).digest('hex').slice(0, 32)
}

/**
 * Compares with what was applied, and touches nothing.
 * @returns how many were applied
 * @throws `PROFILE_MISMATCH` when more were applied than are given, or one was another
 */
export function checkMigrations(connection: Connection, migrations: readonly Migration[]): number {
  const applied = readMigrations(connection)
  const differs = applied.findIndex(
    (checksum, at) => at < migrations.length && checksumOf(migrations[at]!) !== checksum,
  )
  if (differs >= 0) {
    const text = `Migration ${differs + 1} was applied with another text. What was applied cannot change any more: restore its text, and add a new migration at the end.`
    throw new ConclaveError('PROFILE_MISMATCH', text, { data: { migration: differs + 1 } })
  }
  if (applied.length > migrations.length) {
    const text = `${applied.length} migrations were applied to the database and this program brings ${migrations.length}: it is older. Update it; until then it can be a secondary.`
    throw new ConclaveError('PROFILE_MISMATCH', text, { data: { applied: applied.length, given: migrations.length } })
  }
  return applied.length
}

/**
 * Applies one migration with its mark, in one transaction (rule C9): both are there or neither.
 * @param mayCommit asked right before COMMIT; what it throws rolls back
 * @throws `MIGRATION_FAILED`, `ASYNC_PROCEDURE`; SQLite's own error when the transaction could not begin
 */
export function applyMigration(
  connection: Connection,
  migrations: readonly Migration[],
  index: number,
  mayCommit: () => void,
): void {
  const migration = migrations[index]!
  connection.exec('BEGIN IMMEDIATE')
  const tx = new LiveTx(connection, 'own')
  try {
    if (typeof migration === 'string') tx.exec(migration)
    else {
      const returned: unknown = migration(tx)
      if (isThenable(returned)) throw refuseThenable(returned, `Migration ${index + 1}`)
    }
    tx.end()
    if (!connection.inTransaction) throw new Error('it ended the transaction that it runs in')
    connection
      .prepare('INSERT INTO _conclave_migrations(number, checksum, at) VALUES (?, ?, ?)')
      .run([index + 1, checksumOf(migration), Date.now()])
    mayCommit()
    connection.exec('COMMIT')
  } catch (error) {
    tx.end()
    if (connection.inTransaction) connection.exec('ROLLBACK')
    if (ConclaveError.is(error, 'ASYNC_PROCEDURE', 'LOCK_LOST', 'STALE_TERM')) throw error
    const extendedCode = sqliteCode(error)
    const data = { migration: index + 1, ...(extendedCode === undefined ? {} : { sqlite: sqliteName(extendedCode) }) }
    const why = error instanceof Error ? error.message : String(error)
    const text = `Migration ${index + 1} of ${migrations.length} failed and was rolled back: ${why}`
    throw new ConclaveError('MIGRATION_FAILED', text, { cause: error, data })
  }
}
