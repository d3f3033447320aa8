import type { Router, SocketOptions } from 'zeromq'
import { ConclaveError } from '../../errors/index.ts'
import type { MethodTypes } from './codec.ts'
import {
  DRAIN_MS,
  LINGER_MS,
  MAX_MESSAGE_BYTES,
  MAX_PEERS,
  MAX_PENDING_BYTES,
  MAX_PENDING_CALLS,
  MAX_REQUESTS,
  MAX_REQUESTS_A_PEER,
  MAX_UNHEARD_BYTES,
  RECEIVE_HIGH_WATER_MARK,
  SEND_HIGH_WATER_MARK,
} from './limits.ts'
import type { Times } from './times.ts'

/** A peer came or went. */
export interface PeerChange {
  readonly type: 'up' | 'down'
  readonly name: string
  /** True: we connected to it. */
  readonly upstream: boolean
}

export interface BilateralOptions {
  /** How calls are written. Default `gob`, as existing nodes do; `json` between nodes of ours is quicker. */
  readonly codec?: 'gob' | 'json' | undefined
  /** For gob, how arguments and replies of methods travel, by `Type.method`: for calls to them and for those registered here. */
  readonly types?: Readonly<Record<string, MethodTypes>> | undefined
  /** Public keys of those who may connect to an encrypted node. Default: every key. */
  readonly allow?: readonly string[] | undefined
  /** Default: those of existing nodes. */
  readonly times?: Partial<Times> | undefined
  readonly onPeer?: ((change: PeerChange) => void) | undefined
  /** What went wrong and nobody else is told. Default: nothing happens. */
  readonly onError?: ((error: Error) => void) | undefined
  readonly maxPeers?: number | undefined
  readonly maxPendingCalls?: number | undefined
  readonly maxPendingBytes?: number | undefined
  readonly maxRequests?: number | undefined
  readonly maxRequestsAPeer?: number | undefined
  readonly maxMessageBytes?: number | undefined
  readonly maxUnheardBytes?: number | undefined
  readonly sendHighWaterMark?: number | undefined
  readonly receiveHighWaterMark?: number | undefined
  readonly lingerMs?: number | undefined
  readonly drainMs?: number | undefined
  /** @internal The first id of a call. Default: a random one. */
  readonly firstId?: number | undefined
}

/** With their defaults. */
export interface Bounds {
  readonly maxPeers: number
  readonly maxPendingCalls: number
  readonly maxPendingBytes: number
  readonly maxRequests: number
  readonly maxRequestsAPeer: number
  readonly maxMessageBytes: number
  readonly maxUnheardBytes: number
  readonly sendHighWaterMark: number
  readonly receiveHighWaterMark: number
  readonly lingerMs: number
  readonly drainMs: number
}

const DEFAULTS: Bounds = {
  maxPeers: MAX_PEERS,
  maxPendingCalls: MAX_PENDING_CALLS,
  maxPendingBytes: MAX_PENDING_BYTES,
  maxRequests: MAX_REQUESTS,
  maxRequestsAPeer: MAX_REQUESTS_A_PEER,
  maxMessageBytes: MAX_MESSAGE_BYTES,
  maxUnheardBytes: MAX_UNHEARD_BYTES,
  sendHighWaterMark: SEND_HIGH_WATER_MARK,
  receiveHighWaterMark: RECEIVE_HIGH_WATER_MARK,
  lingerMs: LINGER_MS,
  drainMs: DRAIN_MS,
}

/** @throws `INVALID_OPTION` */
export function boundsOf(options: BilateralOptions): Bounds {
  const bounds = { ...DEFAULTS }
  for (const name of Object.keys(DEFAULTS) as (keyof Bounds)[]) {
    const value = options[name]
    if (value === undefined) continue
    const least = name === 'lingerMs' || name === 'drainMs' ? 0 : 1
    if (!Number.isSafeInteger(value) || value < least) {
      throw new ConclaveError('INVALID_OPTION', `${name} is a whole number of at least ${least}, not ${String(value)}.`)
    }
    bounds[name] = value
  }
  return bounds
}

export type RouterOptions = SocketOptions<Router>

/** What both sockets of existing nodes are set to, but that here a message without a route, or without room, is told. */
export function routerOptions(name: string, bounds: Bounds): RouterOptions {
  return {
    routingId: name,
    handover: true,
    mandatory: true,
    sendTimeout: 0,
    linger: bounds.lingerMs,
    sendHighWaterMark: bounds.sendHighWaterMark,
    receiveHighWaterMark: bounds.receiveHighWaterMark,
    maxMessageSize: bounds.maxMessageBytes,
  }
}
