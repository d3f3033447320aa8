import { Buffer, isUtf8 } from 'node:buffer'
import { ConclaveError } from '../../errors/index.ts'
import { goJson } from '../shared/go-json.ts'
import { MAX_TOPIC_BYTES } from './limits.ts'

/** An event as it travels. */
export interface Envelope {
  /** Of the instance that published it. */
  readonly instanceId: string
  /** Empty in practice. */
  readonly projectId: string
  readonly sessionId?: string | undefined
  readonly topic: string
  /** RFC 3339, UTC, up to nine digits of a second's fraction. */
  readonly timestamp: string
  /** Any JSON. */
  readonly payload: unknown
  /**
   * The event's number within its topic since the bus began, from 1: what `missed` is counted by. Of ours only, and by
   * default only where no existing program listens (`sequence`).
   */
  readonly seq?: number | undefined
}

const LONE_SURROGATE = /\p{Surrogate}/u
const ESCAPED = /[<>&\u2028\u2029]/

/** JSON as existing peers write it. @throws `INVALID_REQUEST` for what JSON cannot hold */
export function wireJson(value: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    throw new ConclaveError('INVALID_REQUEST', 'JSON cannot hold the value: no bigint and no cycle may be in it.', {
      cause,
    })
  }
  if (text === undefined) return 'null'
  return ESCAPED.test(text) ? goJson(value) : text
}

/** The frame: topic, a zero byte, the envelope as JSON, with the fields in the order in which existing peers write them. */
export function encodeFrame(envelope: Envelope): string {
  const { instanceId, projectId, sessionId, topic, timestamp, payload, seq } = envelope
  return eventFrame(frameHead(instanceId, projectId, topic, sessionId), timestamp, payload, seq)
}

/** What all events of one topic begin with. */
export function frameHead(instanceId: string, projectId: string, topic: string, sessionId?: string): string {
  const session = sessionId === undefined ? '' : `,"sessionId":${wireJson(sessionId)}`
  return `${topic}\0{"instanceId":${wireJson(instanceId)},"projectId":${wireJson(projectId)}${session},"topic":${wireJson(topic)},"timestamp":"`
}

export function eventFrame(head: string, timestamp: string, payload: unknown, seq: number | undefined): string {
  const tail = seq === undefined ? '}' : `,"seq":${seq}}`
  return `${head}${timestamp}","payload":${wireJson(payload)}${tail}`
}

/** `undefined` for a frame that is no event: existing subscribers skip it too. */
export function decodeFrame(frame: Uint8Array): Envelope | undefined {
  const bytes = Buffer.isBuffer(frame) ? frame : Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength)
  const text = bytes.toString('utf8')
  const zero = text.indexOf('\0')
  if (zero < 0 || (text.includes('\ufffd') && !isUtf8(bytes))) return undefined
  let value: Record<string, unknown> | null
  try {
    value = JSON.parse(text.slice(zero + 1)) as Record<string, unknown> | null
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  return isWhole(value) ? value : mended(value, text.slice(0, zero))
}

/** What was parsed is the envelope itself, as a rule: nothing is copied. */
function isWhole(value: Record<string, unknown>): value is Envelope & Record<string, unknown> {
  const { instanceId, projectId, sessionId, topic, timestamp, payload, seq } = value as Partial<Envelope>
  return (
    typeof topic === 'string' &&
    typeof instanceId === 'string' &&
    typeof timestamp === 'string' &&
    typeof projectId === 'string' &&
    payload !== undefined &&
    (sessionId === undefined || typeof sessionId === 'string') &&
    (seq === undefined || Number.isSafeInteger(seq))
  )
}

/** What is missing is empty, as Go reads it; what is of another type is no envelope, or left out. */
function mended(value: Record<string, unknown>, sentAs: string): Envelope | undefined {
  const { instanceId = '', projectId = '', sessionId, topic = sentAs, timestamp = '', payload = null, seq } = value
  if (typeof instanceId !== 'string' || typeof projectId !== 'string') return undefined
  if (typeof topic !== 'string' || typeof timestamp !== 'string') return undefined
  const envelope: Writable = { instanceId, projectId, topic, timestamp, payload }
  if (typeof sessionId === 'string') envelope.sessionId = sessionId
  if (Number.isSafeInteger(seq)) envelope.seq = seq as number
  return envelope
}

type Writable = { -readonly [K in keyof Envelope]: Envelope[K] }

/** @throws `INVALID_OPTION` */
export function checkTopic(topic: string): void {
  if (
    topic !== '' &&
    !topic.includes('\0') &&
    !LONE_SURROGATE.test(topic) &&
    Buffer.byteLength(topic) <= MAX_TOPIC_BYTES
  )
    return
  throw new ConclaveError(
    'INVALID_OPTION',
    `${JSON.stringify(topic)} is no topic: it has 1 to ${MAX_TOPIC_BYTES} bytes and no zero character.`,
  )
}

/** The prefix of a subscription that takes this very topic: `session.update` and not `session.updated`. */
export function exactly(topic: string): string {
  return `${topic}\0`
}

/** The time of day as Go writes it: no zeros at the end of the fraction. */
export class Clock {
  #ms = 0
  #text = ''

  now(): string {
    const ms = Date.now()
    if (ms === this.#ms) return this.#text
    this.#ms = ms
    return (this.#text = timestampOf(ms))
  }
}

export function timestampOf(ms: number): string {
  return new Date(ms).toISOString().replace(/\.?0+Z$/, 'Z')
}
