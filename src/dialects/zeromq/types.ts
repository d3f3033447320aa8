import type { Schema } from '../../wire/schema.ts'
import type { BusLock } from './lock-file.ts'
import type { BusKeys, TcpOptions } from './security.ts'

export interface BusOptions extends TcpOptions {
  /** Who publishes; also the Identity of the socket that answers calls. 1 to 255 bytes. Default: a random one. */
  readonly instanceId?: string | undefined
  /** In every envelope. Default: empty, as it is in practice. */
  readonly projectId?: string | undefined
  /** Where `start()` without arguments puts its sockets (`endpointsForPath`). Default: a name of this bus alone. */
  readonly workdir?: string | undefined
  /** CURVE. Default: none, which TCP then needs `insecure` for. */
  readonly keys?: BusKeys | undefined
  /** The directory's lock, from `acquireLock`: when it is lost, the bus ends with `LOCK_LOST`. The bus does not release it. */
  readonly lock?: BusLock | undefined
  /** Number the events of each topic, for `missed` of our subscribers. Default: on ipc, where no existing program is. */
  readonly sequence?: boolean | undefined
  /** What happens here, for a log. */
  readonly onNotice?: ((notice: BusNotice) => void) | undefined

  readonly heartbeatMs?: number | undefined
  readonly drainMs?: number | undefined
  readonly lingerMs?: number | undefined
  readonly maxMessageBytes?: number | undefined
  readonly maxRequests?: number | undefined
  readonly maxRequestsAPeer?: number | undefined
  readonly maxRequestBytes?: number | undefined
  readonly sendHighWaterMark?: number | undefined
  readonly sendHighWaterBytes?: number | undefined
  readonly answerHighWaterBytes?: number | undefined
  readonly receiveHighWaterMark?: number | undefined
}

export type BusNotice =
  /** A handler threw something that has no code of ours. Its caller got the text. */
  | { readonly type: 'handler-error'; readonly method: string; readonly error: Error }
  /** A handler of a notification threw: nobody was told. */
  | { readonly type: 'notification-error'; readonly method: string; readonly error: Error }
  /** An answer could not be given: its caller has left, or does not read. */
  | { readonly type: 'undeliverable'; readonly peer: string; readonly error: Error }
  | { readonly type: 'lock-lost'; readonly error: Error }

export interface BusCounters {
  readonly published: number
  readonly requests: number
  /** Requests that run. */
  readonly running: number
  /** Answered with an error before any handler ran: no JSON, no request, no such method, too many. */
  readonly refused: number
  /** Answers that could not be given. */
  readonly undeliverable: number
  /** Connections of keys that are not among `keys.clients`. */
  readonly strangers: number
}

export interface PublishOptions {
  readonly sessionId?: string | undefined
}

export interface RequestContext {
  readonly method: string
  /** The Identity of the caller's socket: whatever it says of itself, or a random one. */
  readonly peer: string
  /** Aborts when the bus ends before the handler did. */
  readonly signal: AbortSignal
}

export type MethodHandler = (params: unknown, context: RequestContext) => unknown

export interface MethodOptions {
  /** A Standard Schema for the params: what does not fit is answered with -32602. */
  readonly params?: Schema | undefined
}
