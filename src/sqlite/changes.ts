import type { Connection } from './driver.ts'
import { MAX_CHANGED_KEYS, MAX_CHANGES } from './limits.ts'
import type { SqlValue } from './types.ts'
import { narrow } from './values.ts'

export type Operation = 'insert' | 'update' | 'delete'

/** What one commit changed in one table (rule C10). */
export interface TableChange {
  readonly type: 'changed'
  readonly table: string
  readonly operation: Operation
  /** Rows. */
  readonly count: number
  /** Primary keys, a list for those of several columns; `undefined` for a table without one, or when there are too many. */
  readonly keys: readonly (SqlValue | readonly SqlValue[])[] | undefined
}

/**
 * Anything may have changed: look again. `term`: another primary serves, and what the last one did not tell is lost;
 * `schema`: tables were made, changed or dropped; `foreign`: another program wrote; `many`: too many tables at once.
 */
export interface Resync {
  readonly type: 'resync'
  readonly reason: 'term' | 'schema' | 'foreign' | 'many'
}

export type FeedEvent = TableChange | Resync

const OPERATIONS: readonly Operation[] = ['insert', 'update', 'delete']
/** In place of an operation: the key that an updated row had before. */
const OLD_KEY = 3
const UPDATE = 1

interface Table {
  readonly name: string
  readonly keyColumns: readonly string[]
  /** Virtual tables that its own triggers write. */
  readonly feeds: readonly string[]
}

interface Named {
  readonly name: string
  readonly lower: string
}

interface Tally {
  readonly table: string
  readonly operation: Operation
  count: number
  /** `undefined`: none, or too many. */
  keys: Map<unknown, Key> | undefined
}

type Key = SqlValue | readonly SqlValue[]
/** By table and operation: a number for tables with triggers, a name for the others. */
type Tallies = Map<number | string, Tally>

/**
 * Notes which tables and rows the writing connection changes. node:sqlite has no update hook, and its sessions leave out
 * tables without a primary key and keep every old row in memory; TEMP triggers, seen by this connection alone, tell of each
 * row and cost 0.4 us. They follow the schema (`sync`).
 */
export class ChangeRecorder {
  readonly #connection: Connection
  #tables: readonly Table[] = []
  /** Tables without triggers: virtual ones above all. A statement that names one counts as a change. */
  #untold: Named[] = []
  #job: Tallies = new Map()
  #group: Tallies = new Map()
  /** Why those who listen must look again at everything. */
  #resync: Resync['reason'] | undefined
  #outdated = true
  #schemaVersion = -1

  constructor(connection: Connection) {
    this.#connection = connection
    connection.define('_conclave_changed', (table, operation, ...key) => {
      this.#row(Number(table), Number(operation), key)
      return null
    })
  }

  /** Makes the triggers that the schema of now needs, if it may have changed. Outside transactions. */
  sync(): void {
    if (!this.#outdated) return
    const { triggers, tables, untold } = this.#look()
    this.#connection.exec(triggers.map((name) => `DROP TRIGGER IF EXISTS temp.${quoted(name)}`).join(';'))
    this.#tables = tables
    this.#untold = untold
    for (const [at, table] of tables.entries()) {
      try {
        this.#connection.exec(OPERATIONS.map((_, operation) => triggerOf(table, at, operation)).join(''))
      } catch {
        untold.push({ name: table.name, lower: table.name.toLowerCase() })
      }
    }
    this.#schemaVersion = this.#readSchemaVersion()
    this.#outdated = false
  }

  /** A statement is about to run. */
  ran(sql: string, definition: boolean): void {
    if (definition) {
      this.#resync = 'schema'
      this.#outdated = true
    }
    if (this.#untold.length === 0 || /^\s*select\b/i.test(sql)) return
    const lower = sql.toLowerCase()
    for (const { name, lower: word } of this.#untold)
      if (lower.includes(word)) this.#tally(name, name, 'update', undefined, 1)
  }

  /** Another program has written: what, nobody tells. */
  foreign(): void {
    this.#resync ??= 'foreign'
    if (this.#readSchemaVersion() !== this.#schemaVersion) this.#outdated = true
  }

  /** The write stays: what it changed belongs to the group. */
  keep(): void {
    if (this.#job.size === 0) return
    if (this.#group.size === 0) [this.#group, this.#job] = [this.#job, this.#group]
    else {
      for (const [id, tally] of this.#job) merge(this.#group, id, tally)
      this.#job.clear()
    }
  }

  /** The write was rolled back. */
  drop(): void {
    this.#job.clear()
  }

  /** The transaction was rolled back, and with it triggers that it moved. What others wrote stays to be told. */
  dropAll(): void {
    this.#job.clear()
    this.#group.clear()
    if (this.#resync === 'schema') this.#resync = undefined
  }

  /** The transaction is committed: what it changed. */
  take(): readonly FeedEvent[] {
    this.keep()
    const group = this.#group
    const reason = this.#resync ?? (group.size > MAX_CHANGES ? 'many' : undefined)
    this.#group = new Map()
    this.#resync = undefined
    if (reason !== undefined) return [{ type: 'resync', reason }]
    return Array.from(group.values(), ({ table, operation, count, keys }) => ({
      type: 'changed',
      table,
      operation,
      count,
      keys: keys === undefined ? undefined : [...keys.values()],
    }))
  }

  #row(at: number, operation: number, key: readonly SqlValue[]): void {
    const table = this.#tables[at]
    if (table === undefined) return
    const of = operation === OLD_KEY ? UPDATE : operation
    const id = at * OPERATIONS.length + of
    const rows = operation === OLD_KEY ? 0 : 1
    const known = this.#job.get(id)
    // Most rows of a large group: their keys are not told any more.
    if (known !== undefined && known.keys === undefined) known.count += rows
    else this.#tally(id, table.name, OPERATIONS[of]!, keyOf(key), rows)
    for (const name of table.feeds) this.#tally(name, name, 'update', undefined, 1)
  }

  #tally(id: number | string, table: string, operation: Operation, key: Key | undefined, rows: number): void {
    let tally = this.#job.get(id)
    if (tally === undefined) {
      tally = { table, operation, count: 0, keys: key === undefined ? undefined : new Map() }
      this.#job.set(id, tally)
    }
    tally.count += rows
    if (tally.keys === undefined) return
    if (key === undefined) tally.keys = undefined
    else addKey(tally, idOf(key), key)
  }

  #readSchemaVersion(): number {
    return Number(this.#connection.prepare('PRAGMA schema_version').get([])?.['schema_version'])
  }

  #look(): { triggers: string[]; tables: Table[]; untold: Named[] } {
    const all = (sql: string): string[] =>
      this.#connection
        .prepare(sql)
        .all([])
        .map(({ name }) => String(name))
    const ours = "name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT LIKE '!_conclave!_%' ESCAPE '!'"
    const list = (type: string): string[] =>
      all(`SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = '${type}' AND ${ours} ORDER BY name`)
    const untold = list('virtual').map((name) => ({ name, lower: name.toLowerCase() }))
    const users = this.#connection
      .prepare("SELECT tbl_name AS of, sql FROM sqlite_master WHERE type = 'trigger' AND sql IS NOT NULL")
      .all([])
      .map(({ of, sql }) => ({ of: String(of).toLowerCase(), sql: String(sql).toLowerCase() }))
    const keys = this.#connection.prepare('SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk')
    const tables = list('table').map((name): Table => ({
      name,
      keyColumns: keys.all([name]).map((column) => String(column['name'])),
      feeds: untold
        .filter(({ lower }) => users.some(({ of, sql }) => of === name.toLowerCase() && sql.includes(lower)))
        .map((table) => table.name),
    }))
    const triggers = all(
      "SELECT name FROM sqlite_temp_master WHERE type = 'trigger' AND name LIKE '!_conclave!_%' ESCAPE '!'",
    )
    return { triggers, tables, untold }
  }
}

function triggerOf({ name, keyColumns }: Table, at: number, operation: number): string {
  const verb = OPERATIONS[operation]!.toUpperCase()
  const call = (row: string, told: number = operation): string =>
    `SELECT _conclave_changed(${[at, told, ...keyColumns.map((column) => `${row}.${quoted(column)}`)].join(', ')})`
  const body =
    verb === 'DELETE'
      ? [call('OLD')]
      : verb === 'INSERT' || keyColumns.length === 0
        ? [call('NEW')]
        : [call('NEW'), `${call('OLD', OLD_KEY)} WHERE ${keyColumns.map((column) => differs(column)).join(' OR ')}`]
  return `CREATE TEMP TRIGGER ${quoted(`_conclave_${verb.toLowerCase()}_${at}`)} AFTER ${verb} ON main.${quoted(name)} BEGIN ${body.join('; ')}; END;`
}

function differs(column: string): string {
  return `OLD.${quoted(column)} IS NOT NEW.${quoted(column)}`
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

function keyOf(values: readonly SqlValue[]): Key | undefined {
  if (values.length === 1) return narrow(values[0]!)
  return values.length === 0 ? undefined : values.map(narrow)
}

/** A list, or bytes, by their text; any other value is its own name. */
function idOf(key: Key): unknown {
  if (key instanceof Uint8Array) return `bytes ${Buffer.from(key).toString('base64')}`
  return typeof key === 'object' && key !== null
    ? JSON.stringify(key.map((value) => [typeof value, String(idOf(value))]))
    : key
}

function addKey(tally: Tally, id: unknown, key: Key): void {
  if (tally.keys === undefined || tally.keys.has(id)) return
  if (tally.keys.size >= MAX_CHANGED_KEYS) tally.keys = undefined
  else tally.keys.set(id, key)
}

function merge(group: Tallies, id: number | string, tally: Tally): void {
  const known = group.get(id)
  if (known === undefined) {
    group.set(id, tally)
    return
  }
  known.count += tally.count
  if (tally.keys === undefined) known.keys = undefined
  else for (const [key, value] of tally.keys) addKey(known, key, value)
}
