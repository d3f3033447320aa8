import { randomBytes, randomUUID } from 'node:crypto'
import { ConclaveError } from '../../errors/index.ts'
import { BackOff } from '../../election/wait.ts'
import { pause } from '../shared/abort.ts'
import type { Client } from './client.ts'
import { timestampOf } from './envelope.ts'
import { MAX_KNOWN_PRIMARIES, WRITE_ATTEMPTS, WRITE_RETRY_MS, WRITE_TIMEOUT_MS } from './limits.ts'
import type { BusAddress } from './ports.ts'
import { DB_WRITE, WRITES } from './serve-writes.ts'
import { asWriteError, writeErrorOf } from './write-errors.ts'

export interface DbProxyOptions<R> {
  readonly client: Pick<Client, 'call'>
  /** Where the primary is now: asked before each attempt, so that it may change. */
  readonly primary: string | BusAddress | (() => string | BusAddress | Promise<string | BusAddress>)
  /** Whom the primary knows the writes by. Default: a random one. */
  readonly instanceId?: string | undefined
  /** What reads are made with: a read-only connection of one's own, `member.db.read`. */
  readonly read: R
  /** For one write, its repeats included. Default 5 s. */
  readonly timeoutMs?: number | undefined
}

export interface ProxyWriteOptions {
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Your own: the same one asks for the outcome of an earlier try. Default: a random one. */
  readonly requestId?: string | undefined
}

export interface DbProxy<R> {
  readonly read: R
  /**
   * One write at the primary. Repeated, under its request id, when nothing ran, and, where the primary still knows the id,
   * also when nobody knows whether it did; at an existing one, which would do it again, not.
   * @throws one of six as `reason` (`writeErrorOf`): TIMEOUT, UNREACHABLE, METHOD_NOT_FOUND, INVALID_PARAMS, CONFLICT,
   * INTERNAL; with `outcome`, and the request id as `key`. `ABORTED`
   */
  write(method: string, params?: unknown, options?: ProxyWriteOptions): Promise<unknown>
  /** SQL, where the primary allows it (`sql: true`). */
  run(sql: string, params?: readonly unknown[], options?: ProxyWriteOptions): Promise<unknown>
  batch(
    statements: readonly (readonly [sql: string, params?: readonly unknown[]])[],
    options?: ProxyWriteOptions,
  ): Promise<unknown>
}

/** Reads here, writes at the primary. */
export function dbproxy<R>({ client, primary, read, instanceId, timeoutMs: patience }: DbProxyOptions<R>): DbProxy<R> {
  const source = instanceId ?? `instance-${randomBytes(8).toString('hex')}`
  const primaries = new Map<string, PrimaryKind>()

  /** Asked once for each place, and again after a failure. */
  async function kindOf(address: string | BusAddress, timeoutMs: number, again: boolean): Promise<PrimaryKind> {
    const name = typeof address === 'string' ? address : address.pub
    const known = again ? undefined : primaries.get(name)
    if (known !== undefined) return known
    let kind: PrimaryKind
    try {
      const found = (await client.call(address, WRITES, {}, { timeoutMs })) as Record<string, unknown>
      kind = { instance: String(found['instance_id']), durable: found['durable'] === true }
    } catch (error) {
      if (!ConclaveError.is(error, 'METHOD_NOT_FOUND')) return EXISTING
      kind = EXISTING
    }
    if (primaries.size >= MAX_KNOWN_PRIMARIES) primaries.clear()
    primaries.set(name, kind)
    return kind
  }

  async function write(method: string, params: unknown, options: ProxyWriteOptions = {}): Promise<unknown> {
    const { signal, timeoutMs = patience ?? WRITE_TIMEOUT_MS, requestId = randomUUID() } = options
    const endMs = performance.now() + timeoutMs
    const pauses = new BackOff(WRITE_RETRY_MS, timeoutMs)
    const meta = { source_instance_id: source, request_id: requestId, timestamp: timestampOf(Date.now()) }
    const leftMs = (): number => Math.max(1, endMs - performance.now())
    let first: PrimaryKind | undefined
    let unknown = false
    let failed: unknown
    for (let attempt = 1; ; attempt++) {
      const address = typeof primary === 'function' ? await primary() : primary
      const kind = await kindOf(address, leftMs(), unknown)
      first ??= kind
      // One that does not know the request id would do the write again.
      if (unknown && !isSafe(first, kind)) throw withOutcome(failed, unknown, requestId)
      try {
        return await client.call(address, DB_WRITE, { meta, method, params }, { timeoutMs: leftMs(), signal })
      } catch (error) {
        if (ConclaveError.is(error, 'ABORTED')) throw error
        failed = error
        const failure = writeErrorOf(error)
        const again = failure === 'UNREACHABLE' || failure === 'TIMEOUT'
        unknown ||= again && !(ConclaveError.is(error) && error.outcome === 'not-committed')
        const over = attempt >= WRITE_ATTEMPTS || performance.now() + WRITE_RETRY_MS >= endMs
        if (!again || over || (unknown && first === EXISTING)) throw withOutcome(error, unknown, requestId)
        await pause(pauses.next(), signal)
      }
    }
  }

  return {
    read,
    write,
    run: (sql, params = [], options) => write('sql.run', { sql, params }, options),
    batch: (statements, options) => write('sql.batch', { statements }, options),
  }
}

interface PrimaryKind {
  /** Undefined for an existing program, which remembers nothing. */
  readonly instance: string | undefined
  /** What it remembers outlives it. */
  readonly durable: boolean
}

const EXISTING: PrimaryKind = { instance: undefined, durable: false }

/** Whether the one that is asked now knows of a write that the first one may have done. */
function isSafe(first: PrimaryKind, now: PrimaryKind): boolean {
  return now.instance !== undefined && (now.instance === first.instance || (first.durable && now.durable))
}

/** Once an attempt may have run, a later one that surely did not changes nothing. */
function withOutcome(error: unknown, unknown: boolean, requestId: string): ConclaveError {
  const given = asWriteError(error, requestId)
  const outcome = unknown && given.outcome !== 'committed' ? 'unknown' : given.outcome
  const { code, message, reason, key, data, cause } = given
  return new ConclaveError(code, message, { reason, key, data, cause, outcome })
}
