import {
  SqliteQueryCompiler,
  type DatabaseIntrospector,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type Kysely,
  type QueryCompiler,
} from 'kysely'
import { MemberAdapter } from './adapter.ts'
import { MemberDriver, type Source } from './driver.ts'
import { MemberIntrospector } from './introspector.ts'

export interface ConclaveDialectOptions {
  /** How long a transaction may hold the one writer, in milliseconds: 2,000 by default, 30,000 at most (and in migrations). */
  readonly transactionTimeoutMs?: number | undefined
}

/**
 * Kysely on the database of a workspace: `new Kysely({ dialect: new ConclaveDialect(() => join('.', options)) })`.
 * Queries that only read run in this process and see its own acknowledged writes; all others go to the primary.
 *
 * A function is called when the first query comes, and `destroy()` closes the member it returned; a member that was given
 * stays open. Errors are `ConclaveError`s, as those of `member.db`: after a change of primary a write is repeated, and one
 * whose end is unknown says so by its `outcome` and `key`.
 */
export class ConclaveDialect implements Dialect {
  readonly #source: Source
  readonly #options: ConclaveDialectOptions

  constructor(source: Source, options: ConclaveDialectOptions = {}) {
    this.#source = source
    this.#options = options
  }

  createDriver(): Driver {
    return new MemberDriver(this.#source, this.#options.transactionTimeoutMs)
  }

  createQueryCompiler(): QueryCompiler {
    return new SqliteQueryCompiler()
  }

  createAdapter(): DialectAdapter {
    return new MemberAdapter()
  }

  createIntrospector(db: Kysely<unknown>): DatabaseIntrospector {
    return new MemberIntrospector(db)
  }
}
