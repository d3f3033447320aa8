import { ConclaveError } from '../../errors/index.ts'
import * as limits from './limits.ts'
import type { BusOptions } from './types.ts'

export interface BusLimits {
  readonly heartbeatMs: number
  readonly drainMs: number
  readonly lingerMs: number
  readonly maxMessageBytes: number
  readonly maxRequests: number
  readonly maxRequestsAPeer: number
  readonly maxRequestBytes: number
  readonly sendHighWaterMark: number
  readonly sendHighWaterBytes: number
  readonly answerHighWaterBytes: number
  readonly receiveHighWaterMark: number
}

/** @throws `INVALID_OPTION` */
export function busLimits(options: BusOptions): BusLimits {
  return {
    heartbeatMs: whole(options.heartbeatMs, 'heartbeatMs', limits.HEARTBEAT_MS, 0),
    drainMs: whole(options.drainMs, 'drainMs', limits.DRAIN_MS, 0),
    lingerMs: whole(options.lingerMs, 'lingerMs', limits.LINGER_MS, 0),
    maxMessageBytes: whole(options.maxMessageBytes, 'maxMessageBytes', limits.MAX_MESSAGE_BYTES, 1),
    maxRequests: whole(options.maxRequests, 'maxRequests', limits.MAX_REQUESTS, 1),
    maxRequestsAPeer: whole(options.maxRequestsAPeer, 'maxRequestsAPeer', limits.MAX_REQUESTS_A_PEER, 1),
    maxRequestBytes: whole(options.maxRequestBytes, 'maxRequestBytes', limits.MAX_REQUEST_BYTES, 1),
    sendHighWaterMark: whole(options.sendHighWaterMark, 'sendHighWaterMark', limits.SEND_HIGH_WATER_MARK, 1),
    sendHighWaterBytes: whole(options.sendHighWaterBytes, 'sendHighWaterBytes', limits.SEND_HIGH_WATER_BYTES, 1),
    answerHighWaterBytes: whole(
      options.answerHighWaterBytes,
      'answerHighWaterBytes',
      limits.ANSWER_HIGH_WATER_BYTES,
      1,
    ),
    receiveHighWaterMark: whole(
      options.receiveHighWaterMark,
      'receiveHighWaterMark',
      limits.RECEIVE_HIGH_WATER_MARK,
      1,
    ),
  }
}

/** libzmq takes 0 as "no limit", which none of these may be by accident. @throws `INVALID_OPTION` */
export function whole(value: number | undefined, name: string, standard: number, min: number): number {
  if (value === undefined) return standard
  if (Number.isSafeInteger(value) && value >= min && value < 2 ** 31) return value
  throw new ConclaveError('INVALID_OPTION', `${name} is ${value}: it must be a whole number from ${min} to 2147483647.`)
}
