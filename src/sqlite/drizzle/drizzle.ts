import { DefaultLogger, type DrizzleConfig, type ExtractTablesWithRelations } from 'drizzle-orm'
import { drizzle as proxy, SqliteRemoteDatabase } from 'drizzle-orm/sqlite-proxy'
import type { HasDatabase } from '../routed-reads.ts'
import { batch, callback } from './callbacks.ts'
import { MemberSession, type Dialect, type Schema } from './session.ts'

export interface ConclaveDrizzleConfig<TSchema extends Record<string, unknown>> extends DrizzleConfig<TSchema> {
  /** How long a transaction may hold the one writer, in milliseconds: 2,000 by default, 30,000 at most. */
  readonly transactionTimeoutMs?: number | undefined
}

/**
 * Drizzle on the database of a workspace: `drizzle(member, { schema })`. Queries that only read run in this process and
 * see its own acknowledged writes; all others go to the primary. `batch` is one transaction, `transaction` holds the one
 * writer and nests by savepoints.
 *
 * Drizzle wraps what a query throws: the `ConclaveError` is its `cause`. The member stays the caller's, who closes it.
 */
export function drizzle<TSchema extends Record<string, unknown> = Record<string, never>>(
  member: HasDatabase,
  config: ConclaveDrizzleConfig<TSchema> = {},
): SqliteRemoteDatabase<TSchema> {
  const { cache, transactionTimeoutMs } = config
  const logger = config.logger === true ? new DefaultLogger() : config.logger || undefined
  const run = callback(member)
  const runAll = batch(member)
  // Drizzle reads the schema; its dialect is kept from its types, not from its objects.
  const plain = proxy<TSchema>(run, runAll, config)
  const { dialect } = plain as unknown as { readonly dialect: Dialect }
  const { schema, fullSchema, tableNamesMap } = plain._
  const relations: Schema<ExtractTablesWithRelations<TSchema>> =
    schema === undefined ? undefined : { schema, fullSchema, tableNamesMap }
  const session = new MemberSession<TSchema, ExtractTablesWithRelations<TSchema>>({
    db: member.db,
    callback: run,
    batch: runAll,
    dialect,
    schema: relations,
    options: { ...(logger && { logger }), ...(cache && { cache }) },
    transactionTimeoutMs,
  })
  const db = new SqliteRemoteDatabase<TSchema>('async', dialect, session, relations)
  if (cache !== undefined) db.$cache = { invalidate: (params) => cache.onMutate(params) }
  return db
}
