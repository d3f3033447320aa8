import type { Platform } from '../../platform/index.ts'
import type { PacketTransport, PeerCredentials } from '../../transport/index.ts'
import {
  CALL_TIMEOUT_MS,
  CONNECT_TIMEOUT_MS,
  MAX_MESSAGE_BYTES,
  MAX_PENDING_BYTES,
  MAX_PENDING_CALLS,
} from './limits.ts'
import { atLeast } from './options.ts'

export interface ConnectionOptions {
  /** Of each call, the wait for its turn included. Default 30 s; Infinity for none. */
  readonly timeoutMs?: number
  /** How long `connect` tries while the server has no room. Default 5 s. */
  readonly connectTimeoutMs?: number
  /**
   * Calls that are sent before the first is answered. Default 1: servers made in C may mix the parts of two long answers.
   * More only speeds up servers that answer in any order, or far ones.
   */
  readonly maxCallsInFlight?: number
  /** A lost connection is made anew for the calls that wait for their turn, and for later ones. Default false. */
  readonly reconnect?: boolean
  /** Which servers are talked to. Default: those of our own user and of root. */
  readonly trusts?: (server: PeerCredentials) => boolean
  readonly maxPendingCalls?: number
  readonly maxPendingBytes?: number
  readonly maxMessageBytes?: number
  /** @internal */
  readonly platform?: Platform
  /** @internal */
  readonly transport?: PacketTransport
}

export interface ConnectionSettings {
  readonly timeoutMs: number
  readonly connectTimeoutMs: number
  readonly maxCallsInFlight: number
  readonly reconnect: boolean
  readonly trusts: ((server: PeerCredentials) => boolean) | undefined
  readonly maxPendingCalls: number
  readonly maxPendingBytes: number
  readonly maxMessageBytes: number
}

/** @throws `INVALID_OPTION` */
export function readConnectionOptions(options: ConnectionOptions): ConnectionSettings {
  return {
    timeoutMs: atLeast(1, 'timeoutMs', options.timeoutMs ?? CALL_TIMEOUT_MS),
    connectTimeoutMs: atLeast(0, 'connectTimeoutMs', options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS),
    maxCallsInFlight: atLeast(1, 'maxCallsInFlight', options.maxCallsInFlight ?? 1),
    reconnect: options.reconnect ?? false,
    trusts: options.trusts,
    maxPendingCalls: atLeast(1, 'maxPendingCalls', options.maxPendingCalls ?? MAX_PENDING_CALLS),
    maxPendingBytes: atLeast(1, 'maxPendingBytes', options.maxPendingBytes ?? MAX_PENDING_BYTES),
    maxMessageBytes: atLeast(1, 'maxMessageBytes', options.maxMessageBytes ?? MAX_MESSAGE_BYTES),
  }
}
