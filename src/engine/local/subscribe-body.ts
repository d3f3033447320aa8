import { ConclaveError } from '../../errors/index.ts'
import type { SubscribeBody } from '../../events/subscriber.ts'
import type { Frame } from '../../wire/frame.ts'

const OVERFLOWS: ReadonlySet<unknown> = new Set([undefined, 'drop-oldest', 'drop-newest', 'disconnect'])

/** What a SUBSCRIBE asks for. @throws `INVALID_OPTION` */
export function readSubscribe(frame: Frame): SubscribeBody {
  const body = readObject(frame)
  const { from = 'now', maxQueued, overflow, seen } = body
  const count = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0
  const named = from === 'now' || from === 'earliest'
  const { after, last } = (typeof from === 'object' ? (from ?? {}) : {}) as { after?: unknown; last?: unknown }
  if (!named && !(after === undefined ? count(last) : count(after) && last === undefined)) {
    const text = 'from must be "now", "earliest", { after: seq } or { last: count }.'
    throw new ConclaveError('INVALID_OPTION', text)
  }
  if (maxQueued !== undefined && !(count(maxQueued) && maxQueued > 0)) {
    throw new ConclaveError('INVALID_OPTION', 'maxQueued must be a whole number of at least 1.')
  }
  if (!OVERFLOWS.has(overflow)) {
    throw new ConclaveError('INVALID_OPTION', 'overflow must be drop-oldest, drop-newest or disconnect.')
  }
  return { ...body, from, seen: count(seen) ? seen : undefined }
}

/** @throws `INVALID_OPTION` */
function readObject(frame: Frame): Partial<SubscribeBody> {
  if (!frame.hasBody) return {}
  let body: unknown
  try {
    body = JSON.parse(frame.text)
  } catch {
    // Refused below, as any other value that is no object.
  }
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body
  throw new ConclaveError('INVALID_OPTION', 'The body of a SUBSCRIBE is a JSON object; docs/wire.md describes it.')
}
