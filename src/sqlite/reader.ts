import { ConclaveError } from '../errors/index.ts'
import type { Connection, Driver, Prepared } from './driver.ts'
import { guard } from './guard.ts'
import { ReadIterators, type IteratorLimits } from './iterators.ts'
import { READ_BUSY_MS } from './limits.ts'
import { statementError } from './sqlite-errors.ts'
import type { Reader, ReadStatement, SqlRow, SqlValue } from './types.ts'
import { checkParams } from './values.ts'

export interface LocalReaderOptions {
  readonly driver: Driver
  /** The database's real path. */
  readonly path: string
  readonly limits?: Partial<IteratorLimits> | undefined
}

/**
 * Reads in this process, on read-only connections that never checkpoint (rule B10). `get` and `all` run to their end on
 * one connection, so that each sees what was acknowledged before it; `iterate` keeps a snapshot and has its own (rule B9).
 */
export class LocalReader implements Reader {
  readonly #options: LocalReaderOptions
  readonly #iterators: ReadIterators
  #connection: Connection | undefined
  /** Statements prepared on a connection of before must be prepared anew. */
  #generation = 0
  #closed = false

  constructor(options: LocalReaderOptions) {
    this.#options = options
    this.#iterators = new ReadIterators(() => this.#open(), options.limits)
  }

  /** @throws `INVALID_PARAMS` of the guard, `FAILED` with what SQLite says of the text */
  prepare<Row = SqlRow>(sql: string): ReadStatement<Row> {
    guard(sql, 'read')
    let prepared = this.#try((connection) => connection.prepare(sql))
    let generation = this.#generation
    const read = <T>(params: readonly SqlValue[], call: (statement: Prepared) => T): T => {
      checkParams(params)
      return this.#try((connection) => {
        if (generation !== this.#generation) {
          prepared = connection.prepare(sql)
          generation = this.#generation
        }
        return call(prepared)
      })
    }
    return {
      get: (...params) => read(params, (statement) => statement.get(params)) as Row | undefined,
      all: (...params) => read(params, (statement) => statement.all(params)) as Row[],
      values: (...params) => read(params, (statement) => listsOf(statement, params)),
      iterate: (...params) => {
        checkParams(params)
        this.#alive()
        return this.#iterators.iterate(sql, params) as IterableIterator<Row>
      },
    }
  }

  /** Changes whenever anybody has committed since the last look (rule B20). */
  dataVersion(): number {
    return this.#try((connection) => Number(connection.prepare('PRAGMA data_version').get([])?.['data_version']))
  }

  /** Runs with the connection for what is no statement of the user's. */
  inspect<T>(look: (connection: Connection) => T): T {
    return this.#try(look)
  }

  get openIterators(): number {
    return this.#iterators.open
  }

  /** The primary asks for it: iterators end with `READ_EXPIRED`, so that the WAL can be cut (rule B9). */
  endReads(): void {
    this.#iterators.endAll('the primary asked for it: the WAL has grown too long')
  }

  /** The path may name another file now (a new term after the old file was deleted): connections are opened anew. */
  reopen(): void {
    this.#iterators.endAll('the database was opened anew')
    this.#connection?.close()
    this.#connection = undefined
    this.#generation++
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true
    this.reopen()
  }

  #alive(): void {
    if (this.#closed) throw new ConclaveError('CLOSED', 'This member was closed: join again to read.')
  }

  #try<T>(call: (connection: Connection) => T): T {
    this.#alive()
    try {
      this.#connection ??= this.#open()
      return call(this.#connection)
    } catch (error) {
      throw statementError(error, undefined)
    }
  }

  #open(): Connection {
    const { driver, path } = this.#options
    const connection = driver.open(path, { readOnly: true })
    connection.exec(`PRAGMA busy_timeout = ${READ_BUSY_MS}; PRAGMA wal_autocheckpoint = 0; PRAGMA temp_store = MEMORY`)
    return connection
  }
}

function listsOf(statement: Prepared, params: readonly SqlValue[]): (readonly SqlValue[])[] {
  const table = statement.table(params)
  if (table !== undefined) return [...table.rows]
  throw new ConclaveError('UNSUPPORTED', 'Rows as lists need Node 22.16 or newer: use all(), or another Node.')
}
