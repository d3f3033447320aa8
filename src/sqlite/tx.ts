import { ConclaveError } from '../errors/index.ts'
import type { Connection, Prepared } from './driver.ts'
import { guard, guardAll, type Place } from './guard.ts'
import { statementError } from './sqlite-errors.ts'
import type { SqlRow, SqlValue, Statement, Tx } from './types.ts'
import { checkParams } from './values.ts'

export interface TxWatch {
  /** Asked for each statement before it is prepared; the guard has passed it. */
  prepare?(sql: string): Prepared
  /** A statement runs. */
  ran?(sql: string, definition: boolean): void
}

/**
 * What a procedure or a migration is given. It is dead after `end()` (rule A4), and after a statement that ended the
 * transaction: what followed would commit by itself (rule A3).
 */
export class LiveTx implements Tx {
  readonly #connection: Connection
  readonly #place: Place
  readonly #watch: TxWatch
  readonly #open = new Set<Iterator<unknown>>()
  #over: ConclaveError | undefined

  constructor(connection: Connection, place: Place, watch: TxWatch = {}) {
    this.#connection = connection
    this.#place = place
    this.#watch = watch
  }

  prepare<Row = SqlRow>(sql: string): Statement<Row> {
    this.#alive()
    const { definition, changesRows } = guard(sql, this.#place)
    const prepared = this.#try(() => this.#watch.prepare?.(sql) ?? this.#connection.prepare(sql))
    const begin = (params: readonly SqlValue[]): void => {
      this.#alive()
      checkParams(params)
      this.#watch.ran?.(sql, definition)
    }
    const run = <T>(params: readonly SqlValue[], call: (statement: Prepared) => T): T => {
      begin(params)
      return this.#try(() => call(prepared))
    }
    return {
      run: (...params) => {
        const result = run(params, (statement) => statement.run(params))
        return changesRows ? result : { ...result, changes: 0 }
      },
      get: (...params) => run(params, (statement) => statement.get(params)) as Row | undefined,
      all: (...params) => run(params, (statement) => statement.all(params)) as Row[],
      iterate: (...params) => {
        begin(params)
        // Of its own: a statement that others use would start anew under the loop.
        return this.#iterate(() => this.#connection.prepare(sql).iterate(params)) as IterableIterator<Row>
      },
    }
  }

  exec(sql: string): void {
    this.#alive()
    const { definition } = guardAll(sql, this.#place)
    this.#watch.ran?.(sql, definition)
    this.#try(() => this.#connection.exec(sql))
  }

  /** Idempotent. Loops that were left open are closed: they would keep the transaction from committing. */
  end(): void {
    this.#over ??= new ConclaveError(
      'CLOSED',
      'This transaction is over: a procedure or migration works on its tx synchronously, before it returns.',
    )
    for (const rows of this.#open) rows.return?.()
    this.#open.clear()
  }

  *#iterate(start: () => IterableIterator<unknown>): IterableIterator<unknown> {
    const rows = this.#try(start)
    this.#open.add(rows)
    try {
      for (;;) {
        this.#alive()
        const next = this.#try(() => rows.next())
        if (next.done === true) return
        yield next.value
      }
    } finally {
      this.#open.delete(rows)
      rows.return?.()
    }
  }

  #alive(): void {
    if (this.#over !== undefined) throw this.#over
  }

  #try<T>(call: () => T): T {
    try {
      return call()
    } catch (error) {
      if (!this.#connection.inTransaction) this.#over = transactionEnded(error)
      throw statementError(error)
    }
  }
}

/** `OR ROLLBACK`, `RAISE(ROLLBACK)`, a full disk: the statement took the whole transaction with it. */
export function transactionEnded(cause: unknown): ConclaveError {
  const text = `A statement ended the transaction it ran in: ${cause instanceof Error ? cause.message : String(cause)}`
  return new ConclaveError('TRANSACTION_LOST', text, { cause, outcome: 'not-committed' })
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    (typeof value === 'object' || typeof value === 'function') &&
    value !== null &&
    typeof (value as { readonly then?: unknown }).then === 'function'
  )
}

/** What it was about to do after its first `await` fails on its dead tx; nobody waits for that. */
export function refuseThenable(returned: PromiseLike<unknown>, what: string): ConclaveError {
  returned.then(undefined, () => {})
  const text = `${what} returned a promise and was rolled back: it runs inside a transaction that others share, so it must be synchronous. Await before it, and pass it what you got.`
  return new ConclaveError('ASYNC_PROCEDURE', text, { outcome: 'not-committed' })
}
