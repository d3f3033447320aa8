import { Buffer } from 'node:buffer'
import { asError, ConclaveError, errorToWire, isCode } from '../../errors/index.ts'
import { SENDER_FIELD, type Answer, type Codec, type Failure, type MethodTypes, type Request } from './codec.ts'
import { HeadReader, stringMessage, uintMessage } from './gob-head.ts'
import { encodeGob, gob, GobDecoder, type GobType } from './gob/index.ts'
import { solid } from './gob/types.ts'
import { isRecord } from './gob/values.ts'
import { inferType } from './gob-infer.ts'
import { incomplete } from './json-codec.ts'

/**
 * As existing nodes write it (Go's encoding/gob): a call is id, method, arguments; an answer is id, method, error text
 * ("" when all is well), reply, where the reply's stream begins anew, and a zero reply follows an error too.
 */
export const gobCodec: Codec = {
  name: 'gob',

  encodeCall(id, method, args, types) {
    const type = types?.args ?? typeOfArgs(args)
    return Buffer.concat([uintMessage(id), stringMessage(method), encoded(type, args)])
  },

  decodeCall(data: Buffer): Request | undefined {
    const head = readHead(data)
    if (head === undefined) return undefined
    const { id, method, rest } = head
    return { id, method, args: (types) => decoded(rest, types?.args, 'INVALID_PARAMS', 'The arguments') }
  },

  encodeBack(request: Request, failure: Failure | undefined, reply: unknown, types: MethodTypes | undefined) {
    const text = failure === undefined ? '' : textOf(failure.error)
    const type = failure === undefined ? (types?.reply ?? inferType([reply], 'Reply')) : undefined
    return Buffer.concat([
      uintMessage(request.id),
      stringMessage(request.method),
      stringMessage(text),
      reply === undefined || type === undefined ? zero(types?.reply) : encoded(type, reply),
    ])
  },

  decodeBack(data: Buffer): Answer | undefined {
    const head = readHead(data)
    if (head === undefined) return undefined
    const { id, method, rest } = head
    const failed = (error: ConclaveError): Answer => ({ id, method, error, reply: () => undefined })
    if (rest.length === 0) return failed(incomplete(method))
    const reader = new HeadReader(rest)
    const text = reader.anyText()
    if (text === undefined) return undefined
    if (text !== '') return failed(errorOf(text))
    const reply = (types: MethodTypes | undefined): unknown =>
      decoded(reader.rest, types?.reply, 'INVALID_RESULT', 'The reply')
    return { id, method, error: undefined, reply }
  },
}

/** A struct without fields: fits every struct at the other end. */
const NOTHING: GobType = gob.struct('Nothing', {})

function readHead(
  data: Buffer,
): { readonly id: number | bigint; readonly method: string; readonly rest: Buffer } | undefined {
  const reader = new HeadReader(data)
  const id = reader.uint()
  const method = id === undefined ? undefined : reader.string()
  return id === undefined || method === undefined ? undefined : { id, method, rest: reader.rest }
}

/** Existing nodes end by arguments that are no struct. @throws `INVALID_REQUEST` */
function typeOfArgs(args: unknown): GobType {
  const plain = typeof args === 'object' && args !== null && !Array.isArray(args) && !ArrayBuffer.isView(args)
  if (plain && !(args instanceof Map)) return inferType([args], 'Args') ?? NOTHING
  throw new ConclaveError('INVALID_REQUEST', 'With gob the arguments are an object: existing nodes take nothing else.')
}

/** @throws `INVALID_REQUEST` */
function encoded(type: GobType, value: unknown): Uint8Array {
  try {
    return encodeGob(type, value)
  } catch (cause) {
    if (ConclaveError.is(cause)) throw cause
    throw new ConclaveError('INVALID_REQUEST', `gob cannot hold the value: ${asError(cause).message}`, { cause })
  }
}

/** @throws `code` */
function decoded(
  bytes: Buffer,
  type: GobType | undefined,
  code: 'INVALID_PARAMS' | 'INVALID_RESULT',
  what: string,
): unknown {
  try {
    const decoder = new GobDecoder(bytes)
    const value = decoder.next(type)
    if (value === undefined || decoder.next() !== undefined)
      throw new ConclaveError('PROTOCOL', 'It is not one gob value.')
    return type === undefined ? withSender(value, decoder.type) : value
  } catch (cause) {
    throw new ConclaveError(code, `${what} cannot be read: ${asError(cause).message}`, { cause })
  }
}

/** Empty text does not travel: whether there is the field that names the sender is known by the type. */
function withSender(value: unknown, type: GobType | undefined): unknown {
  if (type?.kind !== 'struct' || !isRecord(value) || Object.hasOwn(value, SENDER_FIELD)) return value
  const field = type.fields.find(({ name }) => name === SENDER_FIELD)
  return field !== undefined && solid(field.type).kind === 'string'
    ? Object.assign(value, { [SENDER_FIELD]: '' })
    : value
}

function zero(type: GobType | undefined): Uint8Array {
  if (type !== undefined) {
    try {
      return encodeGob(type, undefined)
    } catch {
      // A pointer has none: what follows an error is not looked at.
    }
  }
  return encodeGob(NOTHING, {})
}

/** Text is all that gob's answer has room for: the code stands in front of it. */
function textOf(error: unknown): string {
  const { message, data } = errorToWire(error)
  return data === undefined || data.code === 'FAILED' ? message : `${data.code}: ${message}`
}

function errorOf(text: string): ConclaveError {
  const [, code, message] = /^([A-Z_]+): ([^]*)$/.exec(text) ?? []
  return isCode(code) ? new ConclaveError(code, message ?? '') : new ConclaveError('FAILED', text)
}
