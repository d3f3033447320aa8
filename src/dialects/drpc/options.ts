import { ConclaveError } from '../../errors/index.ts'
import type { Platform } from '../../platform/index.ts'
import type { PacketTransport, PeerCredentials } from '../../transport/index.ts'
import {
  MAX_BUFFERED_BYTES,
  MAX_CALLS_IN_FLIGHT,
  MAX_MESSAGE_BYTES,
  MAX_QUEUED_BYTES,
  MAX_QUEUED_CALLS,
  MAX_SESSIONS,
  MESSAGE_TIMEOUT_MS,
  WRITE_TIMEOUT_MS,
} from './limits.ts'
import type { SessionLimits } from './session.ts'
import type { Session } from './types.ts'

export interface ServerOptions {
  /** Of the socket file. Beside it `<path>.lock` is made, and stays. */
  readonly path: string
  /** Of the socket file, never open wider, not for a moment. Default 0600. */
  readonly mode?: number
  /**
   * `in-order` (default): the next call of a session begins when the one before is answered. `any-order`: up to
   * `maxCallsInFlight` run at once, and are answered as they end.
   */
  readonly answers?: 'in-order' | 'any-order'
  /**
   * Which of those that the file's mode lets in are accepted. Default: our own user and root when the mode is for the owner
   * only, else everybody.
   */
  readonly admits?: (peer: PeerCredentials) => boolean
  /** Faults of peers and of handlers, and accepts that failed. None of them ends the server. */
  readonly onError?: (error: Error, session: Session | undefined) => void
  readonly maxSessions?: number
  readonly maxMessageBytes?: number
  readonly maxBufferedBytes?: number
  readonly maxQueuedCalls?: number
  readonly maxQueuedBytes?: number
  readonly maxCallsInFlight?: number
  readonly messageTimeoutMs?: number
  readonly writeTimeoutMs?: number
  /** @internal */
  readonly platform?: Platform
  /** @internal */
  readonly transport?: PacketTransport
}

export interface ServerSettings extends SessionLimits {
  readonly path: string
  readonly mode: number
  readonly admits: ((peer: PeerCredentials) => boolean) | undefined
  readonly onError: (error: Error, session: Session | undefined) => void
  readonly maxSessions: number
  readonly maxBufferedBytes: number
  readonly platform?: Platform
  readonly transport?: PacketTransport
}

/** @throws `INVALID_OPTION` */
export function readOptions(options: ServerOptions): ServerSettings {
  const { path, mode = 0o600, answers = 'in-order', admits, onError = () => {}, platform, transport } = options
  if (typeof path !== 'string' || path === '') throw invalid('path', path, 'the path of a socket file')
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o777) throw invalid('mode', mode, 'a number like 0o600')
  if (answers !== 'in-order' && answers !== 'any-order') throw invalid('answers', answers, 'in-order or any-order')
  const inFlight = atLeast(1, 'maxCallsInFlight', options.maxCallsInFlight ?? MAX_CALLS_IN_FLIGHT)
  return {
    path,
    mode,
    admits,
    onError,
    maxSessions: atLeast(1, 'maxSessions', options.maxSessions ?? MAX_SESSIONS),
    maxMessageBytes: atLeast(1, 'maxMessageBytes', options.maxMessageBytes ?? MAX_MESSAGE_BYTES),
    maxBufferedBytes: atLeast(1, 'maxBufferedBytes', options.maxBufferedBytes ?? MAX_BUFFERED_BYTES),
    maxQueuedCalls: atLeast(1, 'maxQueuedCalls', options.maxQueuedCalls ?? MAX_QUEUED_CALLS),
    maxQueuedBytes: atLeast(1, 'maxQueuedBytes', options.maxQueuedBytes ?? MAX_QUEUED_BYTES),
    maxCallsInFlight: answers === 'in-order' ? 1 : inFlight,
    messageTimeoutMs: atLeast(1, 'messageTimeoutMs', options.messageTimeoutMs ?? MESSAGE_TIMEOUT_MS),
    writeTimeoutMs: atLeast(1, 'writeTimeoutMs', options.writeTimeoutMs ?? WRITE_TIMEOUT_MS),
    ...(platform === undefined ? {} : { platform }),
    ...(transport === undefined ? {} : { transport }),
  }
}

/** Infinity is no limit. @throws `INVALID_OPTION` */
export function atLeast(least: number, name: string, value: number): number {
  if (typeof value === 'number' && value >= least) return value
  throw invalid(name, value, `a number of at least ${least}`)
}

export function invalid(name: string, value: unknown, wanted: string): ConclaveError {
  return new ConclaveError('INVALID_OPTION', `${name} is ${String(value)}: it must be ${wanted}.`)
}
