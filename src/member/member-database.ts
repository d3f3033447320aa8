import type { Engine, EngineStatus } from '../engine/engine.ts'
import { primaryDatabase, type PrimaryDatabase } from '../engine/local/primary-database.ts'
import type { Workspace } from '../election/index.ts'
import { ConclaveError, type Outcome } from '../errors/index.ts'
import type { Event } from '../events/types.ts'
import { TO_PRIMARY } from '../rpc/address.ts'
import { encodeBody } from '../rpc/body.ts'
import type { Contract } from '../rpc/contract.ts'
import {
  databasePath,
  feedFromWire,
  fileIdentity,
  LocalReader,
  nodeSqlite,
  watchQuery,
  WriteClient,
  type AsyncTx,
  type DatabaseSettings,
  type Driver,
  type Feed,
  type FeedEvent,
  type Reader,
  type RunResult,
  type SqlRow,
  type SqlValue,
  type StatementPair,
  type TransactionOptions,
  type WriteOptions,
} from '../sqlite/index.ts'
import { GOODBYE_MS } from './limits.ts'
import { proceduresOf, type UserProcedure } from './procedures.ts'
import { signalOf, type Scope } from './scope.ts'
import { EventSubscription } from './subscription.ts'

/** `join({ database })`, untyped. */
export interface DatabaseGiven extends Pick<DatabaseSettings, 'file' | 'migrations' | 'durability'> {
  readonly writes?: Readonly<Record<string, UserProcedure>> | undefined
}

/** What a member brings and needs for its database, before it joins. @throws `INVALID_OPTION`, `UNSUPPORTED` */
export async function prepareDatabase(
  workspace: Workspace,
  given: DatabaseGiven,
  contract: Contract | undefined,
): Promise<{ readonly primary: PrimaryDatabase; open(engine: Engine): MemberDatabase }> {
  if (workspace.platform.name === 'memory') {
    throw new ConclaveError('UNSUPPORTED', 'A memory workspace has no database, which is a file: join a folder.')
  }
  const { file, migrations, durability } = given
  const driver = await nodeSqlite()
  const procedures = proceduresOf(given.writes, contract)
  const primary = primaryDatabase(workspace, { file, migrations, durability, procedures, driver: async () => driver })
  const where = {
    path: () => databasePath(workspace, file),
    identity: (path: string) => fileIdentity(workspace.platform, path),
  }
  return { primary, open: (engine) => new MemberDatabase(engine, driver, where) }
}

interface Where {
  path(): string
  /** `dev:ino` of the file; `undefined` for none. */
  identity(path: string): string | undefined
}

/**
 * A member's side of the database: writes go to the primary as numbered, idempotent calls, reads to a connection of its own.
 * The types of the public face live in database.ts; here everything is untyped.
 */
export class MemberDatabase {
  readonly #engine: Engine
  readonly #driver: Driver
  readonly #where: Where
  readonly #client: WriteClient
  readonly #listeners = new Set<(event: FeedEvent) => void>()
  readonly #over = new AbortController()
  #closing = false
  #feed: EventSubscription | undefined
  #reader: { readonly local: LocalReader; readonly path: string; identity: string | undefined } | undefined

  constructor(engine: Engine, driver: Driver, where: Where) {
    this.#engine = engine
    this.#driver = driver
    this.#where = where
    this.#client = new WriteClient({
      now: () => engine.now(),
      send: (method, params, { deadline, signal }) => this.#send(method, params, deadline, signal),
    })
    const stop = engine.onStatus((status) => this.#onStatus(status))
    void engine.closed.then(() => {
      stop()
      this.#over.abort()
      this.#reader?.local.close()
    })
  }

  /** As a handler sees it: deadline and abort of the call that it serves hold for its writes, the abort for its watches. */
  view(scope: Scope | undefined): DatabaseView {
    return new DatabaseView(this, this.#engine, scope)
  }

  /** Aborted when the member has ended. */
  get over(): AbortSignal {
    return this.#over.signal
  }

  /** @param nested as with a call of the engine. @throws `CLOSED` */
  client(nested: boolean): WriteClient {
    if (!this.#closing || nested) return this.#client
    const text = 'This member is closing: join again to write.'
    throw new ConclaveError('CLOSED', text, { outcome: 'not-committed' })
  }

  /** @throws `NO_PRIMARY` before the member has a role, `CLOSED` after its end */
  get reader(): LocalReader {
    if (this.#engine.term === 0) {
      throw new ConclaveError('NO_PRIMARY', 'The database can be read once this member has joined.')
    }
    if (this.over.aborted) throw new ConclaveError('CLOSED', 'This member was closed: join again to read.')
    if (this.#reader === undefined) {
      const path = this.#where.path()
      const local = new LocalReader({ driver: this.#driver, path })
      this.#reader = { local, path, identity: this.#where.identity(path) }
      try {
        // The primary asks those whose open reads keep the WAL from being cut to end them (rule B9).
        this.#follow('$db.wal', (event) => this.#onWal(event))
      } catch {
        // It is closing, and its reads end with it.
      }
    }
    return this.#reader.local
  }

  /** One subscription serves all watches. */
  listen(listener: (event: FeedEvent) => void): ReturnType<Feed> {
    this.#feed ??= this.#follow('$db.changed', ({ data, missed }) => {
      // What was lost may have told of any table (rule B20).
      if (missed > 0) this.#tell({ type: 'resync', reason: 'term' })
      this.#tell(feedFromWire(data))
    })
    this.#listeners.add(listener)
    const stop = (): void => {
      this.#listeners.delete(listener)
      if (this.#listeners.size > 0) return
      void this.#feed?.return()
      this.#feed = undefined
    }
    return { ready: this.#feed.ready, stop }
  }

  /** What was written leaves, and a goodbye; the drain that follows settles both. Reads go on until its end. Never rejects. */
  close(deadline: number): Promise<void> {
    this.#closing = true
    return this.#client.close(Math.min(deadline, this.#engine.now() + GOODBYE_MS))
  }

  #follow(topic: string, listener: (event: Event) => void): EventSubscription {
    const subscription = new EventSubscription(this.#engine, topic, {})
    const listen = async (): Promise<void> => {
      for await (const event of subscription) listener(event)
    }
    // It ends with the member.
    listen().catch(() => {})
    return subscription
  }

  async #send(method: string, params: unknown, deadline: number, signal: AbortSignal | undefined): Promise<unknown> {
    const body = encodeBody(params, 'The parameters of a write')
    try {
      return await this.#engine.call({
        ...{ method, body, target: TO_PRIMARY, deadline, idempotent: true, signal },
        // Whether a closing member may still write is asked where the write begins.
        nested: true,
      })
    } catch (error) {
      throw ConclaveError.is(error, 'METHOD_NOT_FOUND') ? noDatabase(this.#engine, error) : error
    }
  }

  #tell(event: FeedEvent): void {
    for (const listener of [...this.#listeners]) listener(event)
  }

  #onStatus(status: EngineStatus): void {
    if (status.type !== 'primary-found') return
    const reader = this.#reader
    if (reader !== undefined) {
      const identity = this.#where.identity(reader.path)
      if (identity !== reader.identity) reader.local.reopen()
      reader.identity = identity
    }
    this.#client.found()
    // What the last primary did not tell of is lost (rule B20).
    this.#tell({ type: 'resync', reason: 'term' })
  }

  #onWal({ data }: Event): void {
    const { holders } = (data ?? {}) as { readonly holders?: readonly number[] }
    if (holders === undefined || holders.includes(process.pid)) this.#reader?.local.endReads()
  }
}

/** `member.db`. */
export class DatabaseView {
  readonly #database: MemberDatabase
  readonly #engine: Engine
  readonly #scope: Scope | undefined
  readonly writes: Readonly<Record<string, (params?: unknown, options?: WriteOptions) => Promise<unknown>>>

  constructor(database: MemberDatabase, engine: Engine, scope: Scope | undefined) {
    this.#database = database
    this.#engine = engine
    this.#scope = scope
    this.writes = callable((name, params, options) =>
      this.#client((client) => client.call(name, params, this.#scoped(options))),
    )
  }

  get read(): Reader {
    return this.#database.reader
  }

  run(sql: string, params?: readonly SqlValue[], options?: WriteOptions): Promise<RunResult<SqlRow>> {
    return this.#client((client) => client.run(sql, params, this.#scoped(options)))
  }

  batch(statements: readonly StatementPair[], options?: WriteOptions): Promise<readonly RunResult<SqlRow>[]> {
    return this.#client((client) => client.batch(statements, this.#scoped(options)))
  }

  transaction<T>(work: (tx: AsyncTx) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    const signal = signalOf(options.signal, this.#scope)
    return this.#client((client) => client.transaction(work, { ...options, signal }))
  }

  watch(
    sql: string,
    params?: readonly SqlValue[],
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): AsyncGenerator<readonly SqlRow[], void, undefined> {
    return this.#watch(sql, params, signalOf(options.signal, this.#scope))
  }

  outcome(key: string): Promise<Outcome> {
    return this.#client((client) => client.outcome(key))
  }

  #client<T>(ask: (client: WriteClient) => Promise<T>): Promise<T> {
    try {
      return ask(this.#database.client(this.#scope !== undefined))
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  async *#watch(
    sql: string,
    params: readonly SqlValue[] | undefined,
    given: AbortSignal | undefined,
  ): AsyncGenerator<readonly SqlRow[], void, undefined> {
    const { reader, over } = this.#database
    const signal = AbortSignal.any(given === undefined ? [over] : [over, given])
    const feed: Feed = (listener) => this.#database.listen(listener)
    yield* watchQuery<SqlRow>({ reader, feed, sql, params, signal })
  }

  #scoped(options: WriteOptions = {}): WriteOptions {
    const scope = this.#scope
    if (scope === undefined) return options
    const left = Math.max(0, scope.deadline - this.#engine.now())
    const timeoutMs = options.timeoutMs === undefined ? left : Math.min(options.timeoutMs, left)
    return {
      ...options,
      timeoutMs: Number.isFinite(timeoutMs) ? timeoutMs : undefined,
      signal: signalOf(options.signal, scope),
    }
  }
}

/** Procedures live in the primary: which there are is not known here. */
function callable(
  call: (name: string, params: unknown, options: WriteOptions | undefined) => Promise<unknown>,
): Readonly<Record<string, (params?: unknown, options?: WriteOptions) => Promise<unknown>>> {
  const made = new Map<string, (params?: unknown, options?: WriteOptions) => Promise<unknown>>()
  return new Proxy(Object.create(null) as Record<string, never>, {
    get(_target, name) {
      // An object with `then` is taken for a promise.
      if (typeof name !== 'string' || name === 'then') return undefined
      let procedure = made.get(name)
      if (procedure === undefined) {
        procedure = (params, options) => call(name, params, options)
        made.set(name, procedure)
      }
      return procedure
    },
    set: () => false,
  })
}

function noDatabase(engine: Engine, cause: ConclaveError): ConclaveError {
  const { primary } = engine
  const who = primary === undefined ? 'The primary' : `${primary.name} (pid ${primary.pid}), which is primary,`
  const text = `${who} brings no database: let it join with the same \`database\` option.`
  return new ConclaveError('NO_DATABASE', text, { cause, outcome: cause.outcome ?? 'not-committed' })
}
