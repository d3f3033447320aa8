import { ConclaveError } from '../../errors/index.ts'

export type PipeType = 'soc_event' | 'soc_incident' | 'soc_ack' | 'soc_heartbeat'
export const PIPE_TYPES: readonly PipeType[] = ['soc_event', 'soc_incident', 'soc_ack', 'soc_heartbeat']

/** One line of a pipe. */
export interface PipeMessage<T extends string = string, P = unknown> {
  readonly type: T
  /** Nanoseconds since 1970, as text; unique in a process. */
  readonly id?: string | undefined
  /** Unix seconds. */
  readonly ts: number
  readonly payload?: P | undefined
}

/** Only between peers of ours, in fields that others ignore. */
export interface OwnFields {
  /** First message of a sender: it reads what comes back, so acknowledge. */
  readonly ack?: boolean | undefined
  /** Made by the library: not for the application. */
  readonly auto?: boolean | undefined
}

/** What a receiver of ours answers: how many messages of this connection its application has taken. */
export interface AckPayload {
  readonly count: number
}

let lastId = 0n

/** A message of any type. */
export function message<T extends string, P>(type: T, payload?: P): PipeMessage<T, P> {
  const now = BigInt(Date.now()) * 1_000_000n + (process.hrtime.bigint() % 1_000_000n)
  lastId = now > lastId ? now : lastId + 1n
  return { type, id: String(lastId), ts: Math.floor(Date.now() / 1000), ...(payload === undefined ? {} : { payload }) }
}

export function eventMessage<P>(payload: P): PipeMessage<'soc_event', P> {
  return message('soc_event', payload)
}

export function incidentMessage<P>(payload: P): PipeMessage<'soc_incident', P> {
  return message('soc_incident', payload)
}

/** @param payload what it acknowledges, in the words of the two applications */
export function ackMessage<P>(payload?: P): PipeMessage<'soc_ack', P> {
  return message('soc_ack', payload)
}

export function heartbeatMessage<P>(payload?: P): PipeMessage<'soc_heartbeat', P> {
  return message('soc_heartbeat', payload)
}

/** @throws `PROTOCOL` for an empty line, for what is no JSON object, and for fields of a wrong type */
export function decodePipeLine(text: string): PipeMessage & OwnFields {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new ConclaveError('PROTOCOL', text === '' ? 'A line is empty.' : 'A line is no JSON.', { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new ConclaveError('PROTOCOL', 'A line is no JSON object.')
  }
  const { type = '', ts = 0, payload, ack, auto, ...rest } = value as Record<string, unknown>
  const id = rest['id'] ?? undefined
  if (typeof type !== 'string' || (id !== undefined && typeof id !== 'string') || typeof (ts ?? 0) !== 'number') {
    throw new ConclaveError('PROTOCOL', 'A line has a type or an id that is no text, or a ts that is no number.')
  }
  return {
    type,
    ...(id === undefined ? {} : { id }),
    ts: (ts ?? 0) as number,
    ...(payload === undefined ? {} : { payload }),
    ...(ack === true ? { ack } : {}),
    ...(auto === true ? { auto } : {}),
  }
}
