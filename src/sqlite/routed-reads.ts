import { isRead } from './is-read.ts'
import { MAX_STATEMENTS } from './limits.ts'
import type {
  Reader,
  ReadStatement,
  RunResult,
  SqlRow,
  SqlValue,
  StatementPair,
  AsyncTx,
  WaitOptions,
  WriteOptions,
} from './types.ts'

/** What query builders need of `member.db`. */
export interface QueryDatabase {
  readonly read: Reader
  run<Row = SqlRow>(sql: string, params?: readonly SqlValue[], options?: WriteOptions): Promise<RunResult<Row>>
  batch(statements: readonly StatementPair[], options?: WriteOptions): Promise<readonly RunResult<unknown>[]>
  transaction<T>(work: (tx: AsyncTx) => Promise<T>, options?: WaitOptions): Promise<T>
}

/** A member that was joined with `database`, or what looks like one. */
export interface HasDatabase {
  readonly db: QueryDatabase
  close(): Promise<unknown>
}

/** Statements of one database that only read, prepared once; the one not used for longest goes first. */
export class RoutedReads {
  readonly #reader: Reader
  readonly #statements = new Map<string, ReadStatement<SqlRow>>()

  constructor(reader: Reader) {
    this.#reader = reader
  }

  /** The statement in this process; `undefined` for what writes. @throws what `prepare` throws */
  get(sql: string): ReadStatement<SqlRow> | undefined {
    const known = this.#statements.get(sql)
    if (known !== undefined) {
      if (this.#statements.size < MAX_STATEMENTS / 2) return known
      this.#statements.delete(sql)
      this.#statements.set(sql, known)
      return known
    }
    if (!isRead(sql)) return undefined
    const statement = this.#reader.prepare(sql)
    this.#statements.set(sql, statement)
    if (this.#statements.size > MAX_STATEMENTS) {
      for (const oldest of this.#statements.keys()) {
        this.#statements.delete(oldest)
        break
      }
    }
    return statement
  }
}
