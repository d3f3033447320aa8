import { SqliteAdapter, type Kysely } from 'kysely'
import { MAX_TRANSACTION_MS } from '../limits.ts'
import { MemberConnection } from './connection.ts'

/**
 * Kysely's for SQLite, but that migrations run in one transaction. It holds the only writer, so members that migrate at
 * the same time do it one after the other, and the second finds it done.
 */
export class MemberAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }

  /** Kysely asks on the connection that the transaction of the migrations is about to begin on. */
  override acquireMigrationLock(db: Kysely<unknown>): Promise<void> {
    return onConnection(db, (connection) => (connection.transactionMs = MAX_TRANSACTION_MS))
  }

  override releaseMigrationLock(db: Kysely<unknown>): Promise<void> {
    return onConnection(db, (connection) => (connection.transactionMs = undefined))
  }
}

function onConnection(db: Kysely<unknown>, act: (connection: MemberConnection) => void): Promise<void> {
  return db.getExecutor().provideConnection(async (connection) => {
    if (connection instanceof MemberConnection) act(connection)
  })
}
