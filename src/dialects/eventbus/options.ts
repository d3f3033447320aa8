import type { PlaceOptions } from '../shared/uids.ts'
import * as limits from './limits.ts'
import type { StatusResponse } from './messages.ts'

export interface BusOptions extends PlaceOptions {
  /** Path of the socket; `busSocket(appId)` has the usual one. Its directory is made (0700) and must be ours. */
  readonly socket: string
  /** Keys that one consumer at a time may have. */
  readonly exclusive?: Iterable<string> | ((eventKey: string) => boolean) | undefined
  /** Whether a peer's `shutdown` ends this bus. Default true. */
  readonly allowShutdown?: boolean | undefined
  /** Additive fields of status_response. Without them this is a v1 bus, which is what it is. */
  readonly statusFields?: Pick<StatusResponse, 'protocolVersion' | 'capabilities' | 'registeredEventTypes'> | undefined
  /** What happens here, for a log. */
  readonly onNotice?: ((notice: BusNotice) => void) | undefined
  /** Closes the bus. */
  readonly signal?: AbortSignal | undefined

  readonly maxFrameBytes?: number | undefined
  readonly writeTimeoutMs?: number | undefined
  readonly firstMessageTimeoutMs?: number | undefined
  readonly queueSize?: number | undefined
  readonly queueBytes?: number | undefined
  readonly queuedStates?: number | undefined
  readonly dedupMs?: number | undefined
  readonly dedupSize?: number | undefined
  readonly idleExitMs?: number | undefined
  readonly lastCallMs?: number | undefined
  readonly helloWaitMs?: number | undefined
  readonly cleanupTimeoutMs?: number | undefined
  readonly lingerMs?: number | undefined
  readonly settleMs?: number | undefined
  readonly maxConsumers?: number | undefined
  readonly maxWaiting?: number | undefined
  readonly maxStrangers?: number | undefined
  readonly drainMs?: number | undefined
  readonly stallMs?: number | undefined
  readonly lockWaitMs?: number | undefined
}

export type BusNotice =
  | { readonly type: 'joined' | 'left'; readonly pid: number; readonly key: string; readonly consumers: number }
  | { readonly type: 'rejected'; readonly pid: number; readonly key: string; readonly reason: string }
  /** A process of another user, or one the kernel does not name. */
  | { readonly type: 'refused'; readonly error: Error }
  /** The last consumer of the key ended without a clean-up. */
  | { readonly type: 'abandoned'; readonly key: string }
  /** A clean-up took too long: the key is free again. */
  | { readonly type: 'cleanup-timeout'; readonly key: string; readonly pid: number }
  /** A peer said another pid than the kernel does. */
  | { readonly type: 'wrong-pid'; readonly pid: number; readonly said: number }
  | { readonly type: 'accept-error'; readonly error: Error }

export type BusEnd =
  | { readonly type: 'closed' | 'idle' | 'source-ended' | 'lock-lost' | 'aborted' }
  | { readonly type: 'shutdown'; readonly pid: number }
  | { readonly type: 'failed'; readonly error: Error }

export type BusLimits = Required<
  Omit<BusOptions, 'socket' | 'exclusive' | 'allowShutdown' | 'statusFields' | 'onNotice' | 'signal' | 'uids'>
>

/** The options with their defaults. */
export function busLimits(options: BusOptions): { readonly [K in keyof BusLimits]: number } {
  return {
    maxFrameBytes: options.maxFrameBytes ?? limits.MAX_FRAME_BYTES,
    writeTimeoutMs: options.writeTimeoutMs ?? limits.WRITE_TIMEOUT_MS,
    firstMessageTimeoutMs: options.firstMessageTimeoutMs ?? limits.FIRST_MESSAGE_TIMEOUT_MS,
    queueSize: options.queueSize ?? limits.QUEUE_SIZE,
    queueBytes: options.queueBytes ?? limits.QUEUE_BYTES,
    queuedStates: options.queuedStates ?? limits.QUEUED_STATES,
    dedupMs: options.dedupMs ?? limits.DEDUP_MS,
    dedupSize: options.dedupSize ?? limits.DEDUP_SIZE,
    idleExitMs: options.idleExitMs ?? limits.IDLE_EXIT_MS,
    lastCallMs: options.lastCallMs ?? limits.LAST_CALL_MS,
    helloWaitMs: options.helloWaitMs ?? helloWaitOf(process.env[limits.HELLO_WAIT_ENV]),
    cleanupTimeoutMs: options.cleanupTimeoutMs ?? limits.CLEANUP_TIMEOUT_MS,
    lingerMs: options.lingerMs ?? limits.LINGER_MS,
    settleMs: options.settleMs ?? limits.SETTLE_MS,
    maxConsumers: options.maxConsumers ?? limits.MAX_CONSUMERS,
    maxWaiting: options.maxWaiting ?? limits.MAX_WAITING,
    maxStrangers: options.maxStrangers ?? limits.MAX_STRANGERS,
    drainMs: options.drainMs ?? limits.DRAIN_MS,
    stallMs: options.stallMs ?? limits.STALL_MS,
    lockWaitMs: options.lockWaitMs ?? limits.LOCK_WAIT_MS,
  }
}

/** A Go duration above 0 (`3s`, `500ms`, `1m30s`); anything else is the default, as in the existing bus. */
export function helloWaitOf(text: string | undefined): number {
  const UNITS: Readonly<Record<string, number>> = {
    ns: 1e-6,
    us: 1e-3,
    µs: 1e-3,
    μs: 1e-3,
    ms: 1,
    s: 1000,
    m: 60_000,
    h: 3_600_000,
  }
  const part = /(\d+\.?\d*|\.\d+)(ns|[uµμ]s|ms|s|m|h)/
  if (!new RegExp(`^\\+?(?:${part.source})+$`).test(text ?? '')) return limits.HELLO_WAIT_MS
  let ms = 0
  for (const [, number, unit] of (text ?? '').matchAll(new RegExp(part, 'g')))
    ms += Number(number) * (UNITS[unit!] ?? 0)
  return ms > 0 ? ms : limits.HELLO_WAIT_MS
}
