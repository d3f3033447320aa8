import type { Args, Writes } from '../rpc/contract.ts'
import type { InferredParams, Wait } from '../rpc/types.ts'
import type { AsyncTx, Durability, Migration, Reader, RunResult, SqlValue, Tx, WriteOptions } from '../sqlite/types.ts'
import type { In, Name, Out, Schema } from '../wire/schema.ts'

export type {
  AsyncTx,
  Durability,
  Migration,
  Reader,
  ReadStatement,
  RunResult,
  SqlRow,
  SqlValue,
  Statement,
  Tx,
  WriteOptions,
} from '../sqlite/types.ts'

export interface DatabaseOptions<Procedures> {
  /** Relative to the workspace's folder. Default `.conclave/<app>/data.db`. All members name the same. */
  readonly file?: string | undefined
  /** Applied in order, once each, by the primary before it serves. Never change one that was released: add another. */
  readonly migrations?: readonly Migration[] | undefined
  /** `full` survives power loss; `normal` (default) the death of any process. */
  readonly durability?: Durability | undefined
  /** Named procedures: each runs in the primary, in a transaction of its own. */
  readonly writes?: Procedures | undefined
}

export interface TransactionOptions extends Wait {
  /** How long it may hold the only writer, in milliseconds. Default 2,000, at most 30,000. */
  readonly timeoutMs?: number | undefined
  /** Runs the callback again when the transaction was rolled back under it. Default false. */
  readonly retry?: boolean | undefined
}

/**
 * The workspace's one SQLite database. Reads are local; writes go to the primary, exactly once, whoever dies
 * (docs/durability.md). Every rejection says in `outcome` what became of the write.
 */
export interface Database<C> {
  /** Local, synchronous, read-only; sees one's own acknowledged writes. */
  readonly read: Reader
  /** The procedures. @throws (rejects) `METHOD_NOT_FOUND` when the primary has none of this name */
  readonly writes: {
    readonly [K in Name<Writes<C>>]: (
      ...args: Args<Writes<C>[K] extends { readonly params: infer P } ? In<P> : Unsaid<C, any, undefined>, WriteOptions>
    ) => Promise<Writes<C>[K] extends { readonly result: infer R } ? Out<R> : Unsaid<C, unknown, void>>
  }
  /** One statement, in a transaction of its own. @throws (rejects) `CONFLICT` for a constraint, `OVERLOADED`, `NO_DATABASE` */
  run<Row = unknown>(sql: string, params?: readonly SqlValue[], options?: WriteOptions): Promise<RunResult<Row>>
  /** One transaction. */
  batch(
    statements: readonly (readonly [sql: string, params?: readonly SqlValue[]])[],
    options?: WriteOptions,
  ): Promise<readonly RunResult<unknown>[]>
  /** Holds the only writer: keep it short. @throws (rejects) `TRANSACTION_LOST`, and what the callback throws */
  transaction<T>(work: (tx: AsyncTx) => Promise<T>, options?: TransactionOptions): Promise<T>
  /** The rows at once, and again whenever a table that they come from changed. Leaving the loop ends it. */
  watch<Row>(
    sql: string,
    params?: readonly SqlValue[],
    options?: { readonly signal?: AbortSignal | undefined },
  ): AsyncIterableIterator<readonly Row[]>
  /** What became of the write with this key: one's own, or that of an error with outcome `unknown`. */
  outcome(key: string): Promise<'committed' | 'not-committed' | 'unknown'>
}

/** What a write without a schema takes or gives: nothing, but where the contract says nothing of writes. */
type Unsaid<C, Anything, Nothing> = string extends Name<Writes<C>> ? Anything : Nothing

type NotAPromise = void | null | string | number | bigint | boolean | (object & { readonly then?: never })

/** Procedures without a contract. They are synchronous: a returned promise is a type error. */
export type AnyWrites = Readonly<Record<string, (tx: Tx, params: any) => NotAPromise>>

export type WriteHandlers<C> =
  string extends Name<Writes<C>>
    ? AnyWrites
    : {
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
