import type { CompiledQuery, DatabaseConnection, QueryResult, TransactionSettings } from 'kysely'
import { ConclaveError } from '../../errors/index.ts'
import type { QueryDatabase, RoutedReads } from '../routed-reads.ts'
import type { RunResult, SqlValue } from '../types.ts'
import { OpenTransaction } from './open-transaction.ts'

/** Where Kysely's queries go: reads to this process, writes to the primary, all of a transaction's to its transaction. */
export class MemberConnection implements DatabaseConnection {
  /** How long the next transaction may hold the writer; `undefined`: as the dialect was told. */
  transactionMs: number | undefined
  readonly #db: QueryDatabase
  readonly #reads: RoutedReads
  readonly #usualMs: number | undefined
  #transaction: OpenTransaction | undefined

  constructor(db: QueryDatabase, reads: RoutedReads, transactionMs: number | undefined) {
    this.#db = db
    this.#reads = reads
    this.#usualMs = transactionMs
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    const { sql } = query
    const params = paramsOf(query)
    if (this.#transaction !== undefined) return resultOf(query, await this.#transaction.run<R>(sql, params))
    const statement = this.#reads.get(sql)
    if (statement !== undefined) return { rows: statement.all(...params) as R[] }
    return resultOf(query, await this.#db.run<R>(sql, params))
  }

  /** Row by row where it reads outside a transaction, and holds a snapshot meanwhile: 30 s at most, 4 in a process. */
  async *streamQuery<R>(query: CompiledQuery, chunkSize = 1): AsyncIterableIterator<QueryResult<R>> {
    const { sql } = query
    const params = paramsOf(query)
    if (this.#transaction !== undefined) {
      yield resultOf(query, await this.#transaction.run<R>(sql, params))
      return
    }
    const statement = this.#reads.get(sql)
    if (statement === undefined) {
      yield resultOf(query, await this.#db.run<R>(sql, params))
      return
    }
    let rows: R[] = []
    for (const row of statement.iterate(...params)) {
      rows.push(row as R)
      if (rows.length < chunkSize) continue
      yield { rows }
      rows = []
    }
    if (rows.length > 0) yield { rows }
  }

  async begin(settings: TransactionSettings): Promise<void> {
    refuseSettings(settings)
    this.#transaction = await OpenTransaction.begin(this.#db, this.transactionMs ?? this.#usualMs)
  }

  /** On failure the transaction stays where it is, over as it is: what follows must not run outside one. */
  async commit(): Promise<void> {
    await this.#transaction?.commit()
    this.#transaction = undefined
  }

  /** Never rejects: what can't be rolled back any more has been. Idempotent. */
  async rollback(): Promise<void> {
    const transaction = this.#transaction
    this.#transaction = undefined
    await transaction?.rollback()
  }

  /** A savepoint's statement. */
  async control(sql: string): Promise<void> {
    if (this.#transaction === undefined) {
      throw new ConclaveError('INVALID_PARAMS', 'A savepoint needs a transaction: use startTransaction().')
    }
    await this.#transaction.run(sql, [])
  }
}

/** What SQLite does not store is refused where the statement runs. */
function paramsOf({ parameters }: CompiledQuery): readonly SqlValue[] {
  return parameters as readonly SqlValue[]
}

/** The rowid of an insert that inserted nothing would be somebody else's: all members share the writing connection. */
function resultOf<R>(
  { query: { kind } }: CompiledQuery,
  { changes, lastInsertRowid, rows }: RunResult<R>,
): QueryResult<R> {
  const mayInsert = kind === 'InsertQueryNode' || kind === 'RawNode'
  const result = { numAffectedRows: BigInt(changes), rows: rows as R[] }
  return mayInsert && changes > 0 ? { ...result, insertId: BigInt(lastInsertRowid) } : result
}

function refuseSettings({ isolationLevel, accessMode }: TransactionSettings): void {
  if (isolationLevel !== undefined && isolationLevel !== 'serializable') {
    const text = `SQLite knows one isolation level, serializable, and no ${isolationLevel}: leave setIsolationLevel() out.`
    throw new ConclaveError('INVALID_OPTION', text, { outcome: 'not-committed' })
  }
  if (accessMode === 'read only') {
    const text =
      'A transaction holds the one writer of the workspace, for reads alone too: leave setAccessMode() out, or read without a transaction.'
    throw new ConclaveError('INVALID_OPTION', text, { outcome: 'not-committed' })
  }
}
