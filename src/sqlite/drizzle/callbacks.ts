import type { AsyncBatchRemoteCallback, AsyncRemoteCallback } from 'drizzle-orm/sqlite-proxy'
import { listsOf } from '../result.ts'
import { RoutedReads, type HasDatabase } from '../routed-reads.ts'
import type { AsyncTx, RunResult, SqlValue } from '../types.ts'

type Method = Parameters<AsyncRemoteCallback>[2]

/** What the callbacks of `drizzle-orm/sqlite-proxy` return; Drizzle hands it out as the result of `run`. */
interface Rows {
  /** Each row a list; for `get` the one row, or `undefined`. Drizzle's types know no row that is missing. */
  rows: unknown[]
  readonly changes?: number
  readonly lastInsertRowid?: number | bigint
}

/**
 * The callback for `drizzle` of `drizzle-orm/sqlite-proxy`: what only reads runs in this process, the rest at the primary.
 * It can't tell whose statement it gets, so BEGIN and COMMIT are refused: `drizzle` of this module has transactions.
 */
export function callback({ db }: HasDatabase): AsyncRemoteCallback {
  const reads = new RoutedReads(db.read)
  return async (sql, params: SqlValue[], method) => {
    const statement = reads.get(sql)
    if (statement === undefined) return rowsFor(method, await db.run(sql, params))
    if (method !== 'get') return { rows: statement.values(...params) as unknown[][] }
    return { rows: statement.values(...params)[0] as unknown[] }
  }
}

/** The batch callback for the same: one transaction, in which a failing statement undoes all. */
export function batch({ db }: HasDatabase): AsyncBatchRemoteCallback {
  return async (statements) => {
    const results = await db.batch(statements.map(({ sql, params }) => [sql, params as SqlValue[]] as const))
    return results.map((result, at) => rowsFor(statements[at]!.method, result))
  }
}

/** As `callback`, for what runs inside a transaction: its reads see what it wrote. */
export function callbackOf(tx: AsyncTx): AsyncRemoteCallback {
  return async (sql, params: SqlValue[], method) => rowsFor(method, await tx.run(sql, params))
}

function rowsFor(method: Method, result: RunResult<unknown>): Rows {
  const { changes, lastInsertRowid } = result
  const rows = listsOf(result)
  return { rows: method === 'get' ? (rows[0] as unknown[]) : rows, changes, lastInsertRowid }
}
