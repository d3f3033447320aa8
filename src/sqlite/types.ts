/** What SQLite stores: the types of node:sqlite, exactly. */
export type SqlValue = null | number | bigint | string | Uint8Array

export type SqlRow = Record<string, SqlValue>

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

export interface ReadStatement<Row> extends Omit<Statement<Row>, 'run'> {
  /**
   * As `all`, each row a list in the order of its columns: nothing is lost where two columns have one name.
   * @throws `UNSUPPORTED` before Node 22.16
   */
  values(...params: SqlValue[]): (readonly SqlValue[])[]
}

export interface Reader {
  prepare<Row = SqlRow>(sql: string): ReadStatement<Row>
}

/** What a procedure or a migration works on; dead after it returned. */
export interface Tx {
  prepare<Row = SqlRow>(sql: string): Statement<Row>
  exec(sql: string): void
}

export interface AsyncTx {
  /** One statement. `SAVEPOINT`, `ROLLBACK TO` and `RELEASE` are statements too, here alone. */
  run<Row = unknown>(sql: string, params?: readonly SqlValue[]): Promise<RunResult<Row>>
}

export interface WaitOptions {
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number | undefined
}

export interface WriteOptions extends WaitOptions {
  /** The caller's own: the write happens once under this key, across restarts of the caller too. */
  readonly key?: string | undefined
}

export type Durability = 'normal' | 'full'
export type Migration = string | ((tx: Tx) => void)
export type Procedure = (tx: Tx, params: unknown) => unknown
/** By `Map`, so that a name that came over the wire never reaches a prototype. */
export type Procedures = ReadonlyMap<string, Procedure>
export type StatementPair = readonly [sql: string, params?: readonly SqlValue[]]
