import { ConclaveError, errorToWire, type ErrorOnWire } from '../errors/index.ts'
import { encodeLine } from './lines.ts'

/*
 * JSON-RPC 2.0, one message or batch a line. Two liberties: params may be any JSON value (the specification wants an
 * object or an array), and an invalid request that has a usable id is refused under that id (it allows null only).
 */

/** Most messages in one batch: each of them may be answered by an error longer than itself. */
export const MAX_BATCH_MESSAGES = 1024

/** `null` is an id like others in a request, and "nobody knows" in a response. */
export type RpcId = string | number | null

export interface RpcRequest {
  readonly kind: 'request'
  readonly id: RpcId
  readonly method: string
  /** Undefined when there are none. */
  readonly params: unknown
}

/** A request without an id: nobody wants the answer, not even that it was wrong. */
export interface RpcNotification {
  readonly kind: 'notification'
  readonly method: string
  readonly params: unknown
}

export interface RpcAnswer {
  readonly kind: 'answer'
  readonly id: RpcId
  /** Exactly one of the two is there. */
  readonly result?: unknown
  readonly error?: unknown
}

/** To be answered with `rpcFailure(id, error)`. */
export interface RpcInvalid {
  readonly kind: 'invalid'
  readonly id: RpcId
  readonly error: ConclaveError
}

export type RpcMessage = RpcRequest | RpcNotification | RpcAnswer | RpcInvalid

/** A batch is answered with one line that holds the answers to its messages, or none where none is due. */
export interface RpcBatch {
  readonly kind: 'batch'
  /** At least one. */
  readonly messages: readonly RpcMessage[]
}

export type RpcResponse =
  | { readonly jsonrpc: '2.0'; readonly id: RpcId; readonly result: unknown }
  | { readonly jsonrpc: '2.0'; readonly id: RpcId; readonly error: ErrorOnWire }

/** Never throws: what is wrong with the line comes as `invalid`. */
export function parseRpcLine(text: string): RpcMessage | RpcBatch {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    return { kind: 'invalid', id: null, error: new ConclaveError('PROTOCOL', 'The line is not JSON.', { cause }) }
  }
  if (!Array.isArray(value)) return messageOf(value)
  if (value.length === 0) return invalid(null, 'The batch is empty: send at least one message.')
  if (value.length > MAX_BATCH_MESSAGES) {
    return invalid(null, `The batch has ${value.length} messages: send at most ${MAX_BATCH_MESSAGES} in one line.`)
  }
  return { kind: 'batch', messages: value.map(messageOf) }
}

function messageOf(value: unknown): RpcMessage {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return invalid(null, `A message is an object, not ${Array.isArray(value) ? 'an array' : typeof value}.`)
  }
  const { jsonrpc, method, params } = value as Record<string, unknown>
  const hasId = Object.hasOwn(value, 'id')
  const id = hasId ? (value as { readonly id: unknown }).id : null
  if (!isId(id)) {
    return invalid(null, 'The id must be a string, a number that JSON keeps exactly, or null.')
  }
  if (jsonrpc !== '2.0') return invalid(id, 'The message lacks "jsonrpc": "2.0".')
  if (typeof method === 'string') {
    return hasId ? { kind: 'request', id, method, params } : { kind: 'notification', method, params }
  }
  const hasResult = Object.hasOwn(value, 'result')
  const hasError = Object.hasOwn(value, 'error')
  if (method !== undefined || !hasId || hasResult === hasError) {
    return invalid(id, 'The method must be a string.')
  }
  const { result, error } = value as Record<string, unknown>
  return hasResult ? { kind: 'answer', id, result } : { kind: 'answer', id, error }
}

/** An id that would come back changed would leave its caller waiting: 2^53 and above is refused instead. */
function isId(id: unknown): id is RpcId {
  if (typeof id === 'number') return Number.isFinite(id) && (!Number.isInteger(id) || Number.isSafeInteger(id))
  return typeof id === 'string' || id === null
}

function invalid(id: RpcId, fault: string): RpcInvalid {
  return { kind: 'invalid', id, error: new ConclaveError('INVALID_REQUEST', fault) }
}

/** No result is sent as null: the field has to be there. */
export function rpcResult(id: RpcId, result: unknown): RpcResponse {
  return { jsonrpc: '2.0', id, result: result ?? null }
}

/** Any thrown value, as it travels. */
export function rpcFailure(id: RpcId, error: unknown): RpcResponse {
  return { jsonrpc: '2.0', id, error: errorToWire(error) }
}

/**
 * @param data JSON text that becomes the last of the params, unparsed; there are others
 * @throws `INVALID_REQUEST` for params that JSON cannot hold
 */
export function rpcNotificationLine(method: string, params?: unknown, data?: string): string {
  const line = encodeLine({ jsonrpc: '2.0', method, params })
  return data === undefined ? line : `${line.slice(0, -'}}\n'.length)},"data":${inOneLine(data)}}}\n`
}

/** A result that is JSON text already, put in unparsed. */
export function rpcResultLine(id: RpcId, json: string): string {
  return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"result":${json === '' ? 'null' : inOneLine(json)}}\n`
}

/** An error object that is JSON text already, put in unparsed. */
export function rpcErrorLine(id: RpcId, json: string): string {
  return `{"jsonrpc":"2.0","id":${JSON.stringify(id)},"error":${inOneLine(json)}}\n`
}

/** Valid JSON has line ends only where white space may stand, so they can go. */
function inOneLine(json: string): string {
  return json.replace(/[\r\n]/g, ' ')
}

/** Collects the answers to one batch, in whatever order they come, and hands over the line when all are there. */
export class RpcBatchAnswers {
  readonly #answers: string[] = []
  readonly #done: (line: string) => void
  #due: number
  #held = 0

  /** @param done called once; never for a batch of notifications and answers only */
  constructor(batch: RpcBatch, done: (line: string) => void) {
    this.#done = done
    this.#due = batch.messages.filter(({ kind }) => kind === 'request' || kind === 'invalid').length
  }

  /** Answers still due. */
  get due(): number {
    return this.#due
  }

  /** UTF-16 units of the answers that wait for the others. */
  get held(): number {
    return this.#held
  }

  /** @param line one answer, with its LF */
  add(line: string): void {
    if (this.#due === 0) throw new ConclaveError('INTERNAL', 'The batch has all its answers.')
    this.#answers.push(line.slice(0, -1))
    this.#held += line.length
    if (--this.#due === 0) this.#done(`[${this.#answers.join(',')}]\n`)
  }
}
