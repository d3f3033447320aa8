import type { DatabaseSync, StatementSync } from 'node:sqlite'
import type { SqlRow, SqlValue } from './types.ts'
import { narrow, type Table } from './values.ts'

export interface Changes {
  readonly changes: number | bigint
  readonly lastInsertRowid: number | bigint
}

/** A statement of one connection. Integers come as numbers where that is exact, else as bigint. */
export interface Prepared {
  /** Whether it yields rows: a query, or RETURNING. */
  readonly returnsRows: boolean
  run(params: readonly SqlValue[]): Changes
  get(params: readonly SqlValue[]): SqlRow | undefined
  all(params: readonly SqlValue[]): SqlRow[]
  /**
   * As `all`, with each row a list in the order of its columns: nothing is lost where two columns have one name, or a
   * name is a number, which JavaScript's objects move to the front. `undefined`: the library knows no lists, as Node
   * before 22.16; nothing was run.
   */
  table(params: readonly SqlValue[]): Table | undefined
  /** Its `return` ends the snapshot. */
  iterate(params: readonly SqlValue[]): IterableIterator<SqlRow>
}

export interface Connection {
  prepare(sql: string): Prepared
  /** Any number of statements, without parameters. */
  exec(sql: string): void
  /** Whether BEGIN was said and neither COMMIT nor ROLLBACK happened since, by whatever means. */
  readonly inTransaction: boolean
  /** Whether `inTransaction` costs nothing: the library tells, and need not be tried. */
  readonly tellsTransaction: boolean
  /** A function for SQL. Integers come as bigint. */
  define(name: string, call: (...values: SqlValue[]) => null): void
  /** Idempotent. */
  close(): void
}

/**
 * One SQLite library. It opens every connection of the process to a file, for reads and writes alike: two libraries in
 * one process drop each other's locks (rule A5). That is why a driver is a factory, never an open connection.
 */
export interface Driver {
  readonly name: string
  /** Of the library, as in `3.51.3`. */
  readonly version: string
  open(path: string, options: { readonly readOnly: boolean }): Connection
}

/** node:sqlite, imported when the first database is opened: Node 22 prints a warning then, and a start without one stays quick. */
export async function nodeSqlite(): Promise<Driver> {
  const { DatabaseSync } = await import('node:sqlite')
  const probe = new DatabaseSync(':memory:')
  const version = String(probe.prepare('SELECT sqlite_version() AS version').get()?.['version'])
  probe.close()
  return {
    name: 'node:sqlite',
    version,
    open: (path, { readOnly }) => new NodeConnection(new DatabaseSync(path, { readOnly }), readOnly),
  }
}

class NodeConnection implements Connection {
  readonly #database: DatabaseSync
  readonly #readOnly: boolean
  #closed = false

  constructor(database: DatabaseSync, readOnly: boolean) {
    this.#database = database
    this.#readOnly = readOnly
  }

  prepare(sql: string): Prepared {
    return new NodePrepared(this.#database.prepare(sql), sql, this.#readOnly, () => this.#exactRowid())
  }

  exec(sql: string): void {
    this.#database.exec(sql)
  }

  get tellsTransaction(): boolean {
    return (this.#database as { readonly isTransaction?: boolean }).isTransaction !== undefined
  }

  get inTransaction(): boolean {
    // Node 22.13 has no such property. A second BEGIN fails inside a transaction, and only there.
    const { isTransaction } = this.#database as { readonly isTransaction?: boolean }
    if (isTransaction !== undefined) return isTransaction
    try {
      this.#database.exec('BEGIN')
    } catch {
      return true
    }
    this.#database.exec('ROLLBACK')
    return false
  }

  define(name: string, call: (...values: SqlValue[]) => null): void {
    this.#database.function(name, { varargs: true, useBigIntArguments: true }, call)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#database.close()
  }

  #exactRowid(): bigint {
    const statement = this.#database.prepare('SELECT last_insert_rowid() AS rowid')
    statement.setReadBigInts(true)
    return statement.get()!['rowid'] as bigint
  }
}

/** Where `columns()` is missing (Node 22.13): what surely yields no rows need not be known, `all()` runs it too. */
const MAY_RETURN_ROWS = /^\s*(?:select|values|with|explain|pragma|\/|-)|\breturning\b/i

class NodePrepared implements Prepared {
  readonly returnsRows: boolean
  readonly #statement: StatementSync
  readonly #exactRowid: () => bigint
  /** Numbers are read as such until one does not fit. Not where a second attempt would write twice. */
  #exact: boolean

  constructor(statement: StatementSync, sql: string, readOnly: boolean, exactRowid: () => bigint) {
    this.#statement = statement
    this.#exactRowid = exactRowid
    const { columns } = statement as { columns?: () => readonly unknown[] }
    this.returnsRows = columns === undefined ? MAY_RETURN_ROWS.test(sql) : columns.call(statement).length > 0
    this.#exact = !readOnly && this.returnsRows
    if (this.#exact) statement.setReadBigInts(true)
  }

  run(params: readonly SqlValue[]): Changes {
    const done = this.#statement.run(...params)
    const { lastInsertRowid } = done
    // A rowid beyond 2^53 comes rounded.
    if (this.#exact || !Number.isSafeInteger(lastInsertRowid)) {
      return { changes: Number(done.changes), lastInsertRowid: narrow(this.#exactRowid()) as number | bigint }
    }
    return done
  }

  get(params: readonly SqlValue[]): SqlRow | undefined {
    const row = this.#read(() => this.#statement.get(...params)) as SqlRow | undefined
    return row === undefined || !this.#exact ? row : narrowed(row)
  }

  all(params: readonly SqlValue[]): SqlRow[] {
    const rows = this.#read(() => this.#statement.all(...params)) as SqlRow[]
    return this.#exact ? rows.map(narrowed) : rows
  }

  table(params: readonly SqlValue[]): Table | undefined {
    const statement = this.#statement as Partial<Pick<StatementSync, 'columns' | 'setReturnArrays'>>
    if (statement.setReturnArrays === undefined || statement.columns === undefined) return undefined
    statement.setReturnArrays(true)
    let rows: readonly SqlValue[][]
    try {
      rows = this.#read(() => this.#statement.all(...params)) as unknown as SqlValue[][]
    } finally {
      statement.setReturnArrays(false)
    }
    // Afterwards: it was prepared anew if the schema had changed.
    const columns = statement.columns().map(({ name }) => name)
    return { columns, rows: this.#exact ? rows.map((row) => row.map(narrow)) : rows }
  }

  *iterate(params: readonly SqlValue[]): IterableIterator<SqlRow> {
    this.#beExact()
    const rows = this.#statement.iterate(...params) as unknown as Iterator<SqlRow>
    try {
      for (let next = rows.next(); next.done !== true; next = rows.next()) yield narrowed(next.value)
    } finally {
      rows.return?.()
    }
  }

  #read<T>(read: () => T): T {
    try {
      return read()
    } catch (error) {
      if (this.#exact || (error as NodeJS.ErrnoException).code !== 'ERR_OUT_OF_RANGE') throw error
      this.#beExact()
      return read()
    }
  }

  #beExact(): void {
    this.#exact = true
    this.#statement.setReadBigInts(true)
  }
}

function narrowed(row: SqlRow): SqlRow {
  for (const column in row) {
    const value = row[column]
    if (typeof value === 'bigint') row[column] = narrow(value)
  }
  return row
}
