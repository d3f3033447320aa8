import { Buffer } from 'node:buffer'
import { goJson } from '../shared/go-json.ts'
import { EVENT_FIELDS, frameTooLarge, toWire } from './codec.ts'
import type { EventFields } from './messages.ts'

/** `,"seq":` and the longest number. */
const SEQ_BYTES = 7 + 16
const BEFORE_SEQ = EVENT_FIELDS.slice(0, 3)
const AFTER_SEQ = EVENT_FIELDS.slice(4)

/** An event written once for all consumers: only `seq` differs between their lines. */
export interface EventText {
  readonly head: string
  readonly tail: string
  /** Of the line, with the longest seq. */
  readonly bytes: number
}

/**
 * Measures the whole line, not the payload: an event that passes here passes every consumer (weak point 7 of SEEDS 4.5).
 * @throws `FRAME_TOO_LARGE`, `INVALID_REQUEST`
 */
export function eventText(event: EventFields, maxFrameBytes: number): EventText {
  const values = event as unknown as Readonly<Record<string, unknown>>
  const head = goJson({ type: 'event', ...toWire(BEFORE_SEQ, values) }).slice(0, -1)
  const tail = `,${goJson(toWire(AFTER_SEQ, values)).slice(1)}\n`
  const bytes = Buffer.byteLength(head) + SEQ_BYTES + Buffer.byteLength(tail)
  if (bytes > maxFrameBytes) throw frameTooLarge(bytes, maxFrameBytes)
  return { head, tail, bytes }
}

export function eventLine({ head, tail }: EventText, seq: number): string {
  return `${head},"seq":${seq}${tail}`
}
