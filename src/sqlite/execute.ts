import { ConclaveError } from '../errors/index.ts'
import type { Connection, Prepared } from './driver.ts'
import type { WireResult } from './result.ts'
import type { SqlCache } from './sql-cache.ts'
import { isThenable, LiveTx, refuseThenable, type TxWatch } from './tx.ts'
import type { Procedures, SqlRow, SqlValue, StatementPair } from './types.ts'
import { checkParams, jsonText, tableToWire, toWire, type Table } from './values.ts'

type Ran = (sql: string, definition: boolean) => void

/** Runs statements on the writing connection; the transaction around them is somebody else's. */
export class Executor {
  readonly #cache: SqlCache
  readonly #ran: Ran
  readonly #counts: Prepared

  constructor(connection: Connection, cache: SqlCache, ran: Ran) {
    this.#cache = cache
    this.#ran = ran
    this.#counts = connection.prepare(
      'SELECT total_changes() AS total, changes() AS changes, last_insert_rowid() AS rowid',
    )
  }

  run(sql: string, params: readonly SqlValue[]): WireResult {
    checkParams(params)
    const { prepared, allowed } = this.#cache.get(sql)
    this.#ran(sql, allowed.definition)
    if (!prepared.returnsRows) {
      const { changes, lastInsertRowid } = prepared.run(params)
      return [allowed.changesRows ? Number(changes) : 0, toWire(lastInsertRowid)]
    }
    const before = this.#counts.get([])!
    const table = prepared.table(params) ?? tableOf(prepared.all(params))
    const { total, changes, rowid } = this.#counts.get([])!
    const wrote = total !== before['total']
    return [wrote ? Number(changes) : 0, toWire(rowid!), tableToWire(table)]
  }

  /** In the transaction of all: each in its order. */
  batch(statements: readonly StatementPair[]): WireResult[] {
    return statements.map(([sql, params = []]) => this.run(sql, params))
  }
}

function tableOf(rows: readonly SqlRow[]): Table {
  return { columns: Object.keys(rows[0] ?? {}), rows: rows.map((row) => Object.values(row)) }
}

/**
 * Runs a procedure of this process (rule A4).
 * @throws what it throws, `ASYNC_PROCEDURE`, `METHOD_NOT_FOUND`, `TRANSACTION_LOST`
 */
export function callProcedure(
  connection: Connection,
  procedures: Procedures,
  { name, params }: { readonly name: string; readonly params: unknown },
  watch: TxWatch,
): unknown {
  const procedure = procedures.get(name)
  if (procedure === undefined) {
    const text = `The primary has no write procedure ${JSON.stringify(name)}: it runs another build, or the name is wrong. It has ${[...procedures.keys()].join(', ') || 'none'}.`
    throw new ConclaveError('METHOD_NOT_FOUND', text, { outcome: 'not-committed' })
  }
  const tx = new LiveTx(connection, 'write', watch)
  try {
    const returned = procedure(tx, params)
    if (isThenable(returned)) throw refuseThenable(returned, `The write procedure ${name}`)
    return returned
  } finally {
    tx.end()
  }
}

/** A procedure's result must be what JSON holds: it is stored and sent. @throws `INVALID_RESULT` */
export function checkResult(name: string, value: unknown): unknown {
  const refuse = (why: string, cause?: unknown): never => {
    const text = `The result of the write procedure ${name} ${why}: it was rolled back. Return what JSON holds, or nothing.`
    throw new ConclaveError('INVALID_RESULT', text, { cause, outcome: 'not-committed' })
  }
  if (value === undefined) return null
  try {
    return jsonText(value) === undefined ? refuse(`is a ${typeof value}`) : value
  } catch (error) {
    if (ConclaveError.is(error, 'INVALID_RESULT')) throw error
    return refuse(`can't be stored as JSON (${(error as Error).message.split('\n', 1)[0]})`, error)
  }
}
