import {
  SQLiteProxyTransaction,
  SQLiteRemoteSession,
  type AsyncBatchRemoteCallback,
  type AsyncRemoteCallback,
} from 'drizzle-orm/sqlite-proxy'
import type { TablesRelationalConfig } from 'drizzle-orm'
import type { QueryDatabase } from '../routed-reads.ts'
import { callbackOf } from './callbacks.ts'

type Parts<Tables extends TablesRelationalConfig> = ConstructorParameters<
  typeof SQLiteRemoteSession<Record<string, unknown>, Tables>
>
export type Dialect = Parts<TablesRelationalConfig>[1]
export type Schema<Tables extends TablesRelationalConfig> = Parts<Tables>[2]

export interface SessionParts<Tables extends TablesRelationalConfig> {
  readonly db: QueryDatabase
  readonly callback: AsyncRemoteCallback
  readonly batch: AsyncBatchRemoteCallback
  readonly dialect: Dialect
  readonly schema: Schema<Tables>
  /** Logger and cache. */
  readonly options: NonNullable<Parts<Tables>[4]>
  readonly transactionTimeoutMs: number | undefined
}

/**
 * Drizzle's session for SQLite far away, with transactions. Its own says BEGIN and COMMIT through a callback that has no
 * notion of a connection, so that two at once would be one.
 */
export class MemberSession<
  Full extends Record<string, unknown>,
  Tables extends TablesRelationalConfig,
> extends SQLiteRemoteSession<Full, Tables> {
  readonly #parts: SessionParts<Tables>

  constructor(parts: SessionParts<Tables>) {
    super(parts.callback, parts.dialect, parts.schema, parts.batch, parts.options)
    this.#parts = parts
  }

  /** Each has a session of its own. Those inside it are savepoints. Which `behavior` is asked for makes no difference. */
  override transaction<T>(work: (tx: SQLiteProxyTransaction<Full, Tables>) => Promise<T>): Promise<T> {
    const { db, dialect, schema, options, transactionTimeoutMs: timeoutMs } = this.#parts
    return db.transaction(
      (tx) => {
        const session = new SQLiteRemoteSession<Full, Tables>(callbackOf(tx), dialect, schema, undefined, options)
        return work(new SQLiteProxyTransaction<Full, Tables>('async', dialect, session, schema))
      },
      { timeoutMs },
    )
  }

  /** `db.get(sql)` in a batch: its one row, as it is outside of one. Drizzle would take the row's first column. */
  override extractRawGetValueFromBatchResult(result: unknown): unknown {
    return (result as { readonly rows: unknown }).rows
  }
}
