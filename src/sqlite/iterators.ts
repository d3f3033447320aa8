import { ConclaveError } from '../errors/index.ts'
import type { Connection } from './driver.ts'
import { ITERATOR_MS, MAX_ITERATORS } from './limits.ts'
import { statementError } from './sqlite-errors.ts'
import type { SqlRow, SqlValue } from './types.ts'

export interface IteratorLimits {
  readonly maxIterators: number
  readonly iteratorMs: number
}

interface Open {
  readonly connection: Connection
  readonly rows: IterableIterator<SqlRow>
  readonly timer: NodeJS.Timeout
  readonly until: number
  over: ConclaveError | undefined
}

/**
 * Iterators, each on a connection of its own: what one has open pins its snapshot, and with it the WAL (rule B9). Few at
 * a time, and none for long. A connection whose loop has ended serves the next one.
 */
export class ReadIterators {
  readonly #connect: () => Connection
  readonly #limits: IteratorLimits
  readonly #open = new Set<Open>()
  #idle: Connection[] = []

  constructor(connect: () => Connection, limits: Partial<IteratorLimits> = {}) {
    this.#connect = connect
    this.#limits = { maxIterators: MAX_ITERATORS, iteratorMs: ITERATOR_MS, ...limits }
  }

  get open(): number {
    return this.#open.size
  }

  /** Begins with the first `next()`, as iterators do. */
  *iterate(sql: string, params: readonly SqlValue[]): IterableIterator<SqlRow> {
    const open = this.#begin(sql, params)
    try {
      for (;;) {
        if (open.over === undefined && performance.now() >= open.until) this.#expire(open, this.#tooLong())
        if (open.over !== undefined) throw open.over
        const next = this.#next(open)
        if (next.done === true) return
        yield next.value
      }
    } finally {
      this.#end(open)
    }
  }

  /** All of them: the next `next()` throws `READ_EXPIRED`. */
  endAll(why: string): void {
    for (const open of this.#open) this.#expire(open, why)
    for (const connection of this.#idle) connection.close()
    this.#idle = []
  }

  #begin(sql: string, params: readonly SqlValue[]): Open {
    const { maxIterators, iteratorMs } = this.#limits
    if (this.#open.size >= maxIterators) {
      const text = `${maxIterators} iterators are open in this process, and each keeps a snapshot: end one, or read with all().`
      throw new ConclaveError('OVERLOADED', text)
    }
    try {
      const connection = this.#idle.pop() ?? this.#connect()
      const rows = this.#rows(connection, sql, params)
      const timer = setTimeout(() => this.#expire(open, this.#tooLong()), iteratorMs)
      timer.unref()
      const open: Open = { connection, rows, timer, until: performance.now() + iteratorMs, over: undefined }
      this.#open.add(open)
      return open
    } catch (error) {
      throw statementError(error, undefined)
    }
  }

  #rows(connection: Connection, sql: string, params: readonly SqlValue[]): IterableIterator<SqlRow> {
    try {
      return connection.prepare(sql).iterate(params)
    } catch (error) {
      this.#idle.push(connection)
      throw error
    }
  }

  #next(open: Open): IteratorResult<SqlRow, unknown> {
    try {
      return open.rows.next()
    } catch (error) {
      throw statementError(error, undefined)
    }
  }

  #end(open: Open): void {
    if (!this.#open.delete(open)) return
    clearTimeout(open.timer)
    open.rows.return?.()
    this.#idle.push(open.connection)
  }

  /** Its snapshot ends now, whoever holds the iterator. */
  #expire(open: Open, why: string): void {
    if (!this.#open.delete(open)) return
    clearTimeout(open.timer)
    const text = `This read was ended: ${why}. Read in parts (WHERE id > ? LIMIT ?), or with all().`
    open.over = new ConclaveError('READ_EXPIRED', text)
    open.connection.close()
  }

  #tooLong(): string {
    return `an iterator may keep its snapshot for ${this.#limits.iteratorMs / 1000} s`
  }
}
