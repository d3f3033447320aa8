import { ConclaveError } from '../../errors/index.ts'
import * as limits from './limits.ts'
import { whole } from './options.ts'
import { Remembered } from './remembered.ts'
import type { MethodHandler, MethodOptions } from './types.ts'
import { asWriteError } from './write-errors.ts'

export const DB_WRITE = 'db.write'
/** Tells whether, and how far, request ids are remembered. Existing primaries have no such method. */
export const WRITES = 'conclave.writes'

/** A database that is written by named procedures, as `member.db` is. */
export interface WritableDatabase {
  /** Looked up by the names of `methods` only. */
  readonly writes?: Readonly<Record<string, WriteProcedure>> | undefined
  run?(sql: string, params?: readonly never[], options?: WriteRunOptions): Promise<unknown>
  batch?(statements: readonly never[], options?: WriteRunOptions): Promise<unknown>
}

export type WriteProcedure = (params: never, options: WriteRunOptions) => unknown

export interface WriteRunOptions {
  /** `<source instance>:<request id>`: a database that knows keys does each write once, also after a restart. */
  readonly key: string
  readonly timeoutMs: number
}

/** The side of a bus that the service needs. */
interface Registry {
  readonly instanceId: string
  registerMethod(name: string, handler: MethodHandler, options?: MethodOptions): Disposable
}

export interface ServeWritesOptions {
  /** Procedures that others may call. Default: all own names of `db.writes`. */
  readonly methods?: readonly string[] | undefined
  /** True: others may also send any SQL (`sql.run`, `sql.batch`). Default false. */
  readonly sql?: boolean | undefined
  /** The database itself knows each key for good, also in the next primary, as `member.db` does. Default false. */
  readonly durable?: boolean | undefined
  /** For one write. Default 5 s. */
  readonly timeoutMs?: number | undefined
  /** Writes that wait. Default 256. */
  readonly maxQueued?: number | undefined
}

/** What a write comes with, as existing programs send it. */
export interface WriteMeta {
  readonly source_instance_id: string
  readonly request_id: string
  readonly timestamp: string
}

/**
 * Answers `db.write`: one write after another, each request id once. A repeat gets the outcome of the first; so a caller may
 * repeat what it got no answer for.
 * @throws `CONFLICT` when the bus has the method already
 */
export function serveWrites(bus: Registry, db: WritableDatabase, options: ServeWritesOptions = {}): Disposable {
  const service = new WriteService(db, options)
  const { durable = false } = options
  const write = bus.registerMethod(DB_WRITE, (params) => service.write(params))
  const tell = bus.registerMethod(WRITES, () => ({ instance_id: bus.instanceId, durable }))
  return {
    [Symbol.dispose]() {
      write[Symbol.dispose]()
      tell[Symbol.dispose]()
    },
  }
}

class WriteService {
  readonly #db: WritableDatabase
  readonly #methods: ReadonlySet<string>
  readonly #sql: boolean
  readonly #timeoutMs: number
  readonly #maxQueued: number
  readonly #remembered = new Remembered({
    maxCount: limits.MAX_REMEMBERED_WRITES,
    maxBytes: limits.MAX_REMEMBERED_BYTES,
    ttlMs: limits.REMEMBER_MS,
  })
  #last: Promise<unknown> = Promise.resolve()
  #queued = 0

  constructor(db: WritableDatabase, { methods, sql = false, timeoutMs, maxQueued }: ServeWritesOptions) {
    this.#db = db
    this.#methods = new Set(methods ?? Object.keys(db.writes ?? {}))
    this.#sql = sql
    this.#timeoutMs = whole(timeoutMs, 'timeoutMs', limits.WRITE_TIMEOUT_MS, 1)
    this.#maxQueued = whole(maxQueued, 'maxQueued', limits.MAX_QUEUED_WRITES, 1)
  }

  async write(request: unknown): Promise<unknown> {
    const { source, id, method, params } = requestOf(request)
    const key = `${source}:${id}`
    try {
      const run = this.#procedure(method)
      const asked = `${method} ${JSON.stringify(params) ?? ''}`
      return await this.#remembered.once(key, asked, () => this.#inTurn(() => run(params, key)))
    } catch (error) {
      throw asWriteError(error, key)
    }
  }

  #procedure(method: string): (params: unknown, key: string) => unknown {
    const options = (key: string): WriteRunOptions => ({ key, timeoutMs: this.#timeoutMs })
    const db = this.#db
    if (this.#sql && method === 'sql.run') {
      return (params, key) => {
        const { sql, params: values = [] } = params as { readonly sql: string; readonly params?: readonly never[] }
        return db.run?.(sql, values, options(key))
      }
    }
    if (this.#sql && method === 'sql.batch') {
      return (params, key) => db.batch?.((params as { readonly statements: readonly never[] }).statements, options(key))
    }
    const procedure = this.#methods.has(method) ? db.writes?.[method] : undefined
    if (typeof procedure !== 'function') {
      throw new ConclaveError('METHOD_NOT_FOUND', `The primary offers no write "${method}".`, {
        outcome: 'not-committed',
      })
    }
    return (params, key) => procedure(params as never, options(key))
  }

  #inTurn(run: () => unknown): Promise<unknown> {
    if (this.#queued >= this.#maxQueued) {
      const text = `${this.#queued} writes wait already: try again in a moment.`
      return Promise.reject(new ConclaveError('OVERLOADED', text, { outcome: 'not-committed' }))
    }
    this.#queued++
    const mine = this.#last.then(run)
    this.#last = mine.then(
      () => this.#queued--,
      () => this.#queued--,
    )
    return mine
  }
}

interface WriteRequest {
  readonly source: string
  readonly id: string
  readonly method: string
  readonly params: unknown
}

/** @throws `INVALID_PARAMS` */
function requestOf(request: unknown): WriteRequest {
  const { meta, method, params } = (isObject(request) ? request : {}) as Record<string, unknown>
  const { source_instance_id: source, request_id: id } = isObject(meta) ? meta : {}
  if (typeof method !== 'string' || typeof source !== 'string' || typeof id !== 'string' || id === '') {
    throw new ConclaveError(
      'INVALID_PARAMS',
      'db.write needs { meta: { source_instance_id, request_id, timestamp }, method, params }.',
      { reason: 'INVALID_PARAMS', outcome: 'not-committed' },
    )
  }
  return { source, id, method, params }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
