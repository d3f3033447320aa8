import type { Args, Writes } from '../rpc/contract.ts'
import type { InferredParams, Wait } from '../rpc/types.ts'
import type { In, Name, Out, Schema } from '../wire/schema.ts'

/*
 * The types of the database room, which is not built yet: `join()` refuses the `database` option with `UNSUPPORTED`,
 * and `Member` has no `db` so far.
 */

export type SqlValue = null | number | bigint | string | Uint8Array

export interface RunResult<Row> {
  readonly changes: number
  readonly lastInsertRowid: number | bigint
  readonly rows: readonly Row[]
}

/** Synchronous, as in node:sqlite. */
export interface Statement<Row> {
  get(...params: SqlValue[]): Row | undefined
  all(...params: SqlValue[]): Row[]
  iterate(...params: SqlValue[]): IterableIterator<Row>
  run(...params: SqlValue[]): { readonly changes: number | bigint; readonly lastInsertRowid: number | bigint }
}

export interface Reader {
  prepare<Row = Record<string, SqlValue>>(sql: string): Omit<Statement<Row>, 'run'>
}

/** What a procedure or a migration works on; dead after it returned. */
export interface Tx {
  prepare<Row = Record<string, SqlValue>>(sql: string): Statement<Row>
  exec(sql: string): void
}

export interface AsyncTx {
  run<Row = unknown>(sql: string, params?: readonly SqlValue[]): Promise<RunResult<Row>>
}

export interface WriteOptions extends Wait {
  /** Your own: exactly once, across restarts of the caller too. */
  readonly key?: string | undefined
}

export interface DatabaseOptions<Procedures> {
  /** Relative to the workspace. Default `.conclave/<app>/data.db`. */
  readonly file?: string | undefined
  /** Applied in order, once each, by the primary. */
  readonly migrations?: readonly (string | ((tx: Tx) => void))[] | undefined
  /** `full` survives power loss; `normal` (default) the death of any process. */
  readonly durability?: 'normal' | 'full' | undefined
  readonly writes?: Procedures | undefined
}

export interface Database<C> {
  /** Local, synchronous, read-only; sees one's own acknowledged writes. */
  readonly read: Reader
  readonly writes: {
    readonly [K in Name<Writes<C>>]: (
      ...args: Args<Writes<C>[K] extends { readonly params: infer P } ? In<P> : undefined, WriteOptions>
    ) => Promise<Writes<C>[K] extends { readonly result: infer R } ? Out<R> : void>
  }
  run<Row = unknown>(sql: string, params?: readonly SqlValue[], options?: WriteOptions): Promise<RunResult<Row>>
  /** One transaction. */
  batch(
    statements: readonly (readonly [sql: string, params?: readonly SqlValue[]])[],
    options?: WriteOptions,
  ): Promise<readonly RunResult<unknown>[]>
  /** Holds the only writer: 5 s at most unless set. */
  transaction<T>(work: (tx: AsyncTx) => Promise<T>, options?: Wait): Promise<T>
  watch<Row>(
    sql: string,
    params?: readonly SqlValue[],
    options?: { readonly signal?: AbortSignal | undefined },
  ): AsyncIterableIterator<readonly Row[]>
  outcome(key: string): Promise<'committed' | 'not-committed' | 'unknown'>
}

type NotAPromise = void | null | string | number | bigint | boolean | (object & { readonly then?: never })

/** Procedures without a contract. They are synchronous: a returned promise is a type error. */
export type AnyWrites = Readonly<Record<string, (tx: Tx, params: any) => NotAPromise>>

export type WriteHandlers<C> = {
  readonly [K in Name<Writes<C>>]: (
    tx: Tx,
    params: Writes<C>[K] extends { readonly params: infer P } ? Out<P> : undefined,
  ) => Writes<C>[K] extends { readonly result: infer R } ? In<R> : void
}

/** The writes section of a contract, read off procedures. */
export type InferredWrites<W> = {
  readonly [K in keyof W as string extends K ? never : K]: W[K] extends (
    tx: Tx,
    params: infer P,
    ...rest: any
  ) => infer R
    ? { readonly params: Schema<InferredParams<P>>; readonly result: Schema<R> }
    : never
}
