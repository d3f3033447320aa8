import type { Connection, Prepared } from './driver.ts'
import { guard, type Allowed, type Place } from './guard.ts'
import { MAX_STATEMENTS } from './limits.ts'

export interface CachedStatement {
  readonly prepared: Prepared
  readonly allowed: Allowed
}

/** The statements of a connection, guarded and prepared once; the one not used for longest goes first. */
export class SqlCache {
  readonly #connection: Connection
  readonly #place: Place
  readonly #statements = new Map<string, CachedStatement>()

  constructor(connection: Connection, place: Place) {
    this.#connection = connection
    this.#place = place
  }

  /** @throws `INVALID_PARAMS` of the guard, and what SQLite says of the text */
  get(sql: string): CachedStatement {
    const known = this.#statements.get(sql)
    if (known !== undefined) {
      if (this.#statements.size >= MAX_STATEMENTS / 2) {
        this.#statements.delete(sql)
        this.#statements.set(sql, known)
      }
      return known
    }
    const allowed = guard(sql, this.#place)
    const statement = { prepared: this.#connection.prepare(sql), allowed }
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
