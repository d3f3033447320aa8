import { Buffer } from 'node:buffer'
import { ConclaveError, errorFromWire, errorToWire } from '../../errors/index.ts'
import type { Answer, Codec, Failure, Request } from './codec.ts'

/** A call is `[id, method, args]`, its answer `[id, method, error, reply]` with an error object of JSON-RPC 2.0 or null. */
export const jsonCodec: Codec = {
  name: 'json',

  encodeCall: (id, method, args) => `[${id},${quoted(method)},${textOf(args)}]`,

  decodeCall(data: Buffer): Request | undefined {
    const [id, method, args] = arrayOf(data)
    if (!isId(id) || typeof method !== 'string') return undefined
    return { id, method, args: () => args }
  },

  encodeBack({ id, method }: Request, failure: Failure | undefined, reply: unknown) {
    const error = failure === undefined ? 'null' : JSON.stringify(errorToWire(failure.error))
    return `[${id},${quoted(method)},${error},${failure === undefined ? textOf(reply) : 'null'}]`
  },

  decodeBack(data: Buffer): Answer | undefined {
    const parts = arrayOf(data)
    const [id, method, error, reply] = parts
    if (!isId(id) || typeof method !== 'string') return undefined
    if (parts.length < 4) return { id, method, error: incomplete(method), reply: () => undefined }
    return { id, method, error: error === null ? undefined : errorFromWire(error), reply: () => reply }
  },
}

/** The JSON of the method that was used last. */
let last = { method: '', json: '""' }

function quoted(method: string): string {
  if (method !== last.method) last = { method, json: JSON.stringify(method) }
  return last.json
}

/** What the caller of an existing node gets for an answer that ends after id and method (weak point 3). */
export function incomplete(method: string): ConclaveError {
  return new ConclaveError(
    'METHOD_NOT_FOUND',
    `The peer has no method ${method}, or could not read its arguments: it answered without a result.`,
  )
}

function isId(id: unknown): id is number {
  return Number.isSafeInteger(id) && (id as number) >= 0
}

function arrayOf(data: Buffer): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(data.toString())
    return Array.isArray(value) ? value : []
  } catch {
    return []
  }
}

/** @throws `INVALID_REQUEST` */
function textOf(value: unknown): string {
  try {
    return JSON.stringify(value) ?? 'null'
  } catch (cause) {
    throw new ConclaveError('INVALID_REQUEST', 'JSON cannot hold the value: no bigint and no cycle may be in it.', {
      cause,
    })
  }
}
