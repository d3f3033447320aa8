import { asError, CODES, ConclaveError, errorToWire } from '../../errors/index.ts'
import { parseRpcLine, type RpcBatch, type RpcId, type RpcMessage } from '../../wire/jsonrpc.ts'
import type { Schema } from '../../wire/schema.ts'
import { validate } from '../../wire/validate.ts'
import { wireJson } from './envelope.ts'
import type { MethodHandler, MethodOptions, RequestContext } from './types.ts'

/** Who asks, and what it costs. */
export interface Request {
  readonly peer: string
  readonly signal: AbortSignal
  /** Called before each handler. False: too much runs already. */
  admit(): boolean
  /** Called after each handler that was admitted. */
  settled(): void
  /** An error without a code of ours. */
  failed(method: string, error: Error, notification: boolean): void
  /** No handler ran. */
  refused(): void
}

interface Method {
  readonly handle: MethodHandler
  readonly params: Schema | undefined
}

/** The methods of a bus: JSON-RPC 2.0 text in, text out. Whatever comes in, nothing is thrown. */
export class Methods {
  readonly #methods = new Map<string, Method>()

  /** @throws `CONFLICT` when the name is taken */
  register(name: string, handle: MethodHandler, { params }: MethodOptions): Disposable {
    if (this.#methods.has(name)) {
      throw new ConclaveError('CONFLICT', `The method "${name}" is registered already: dispose of the first.`)
    }
    const method: Method = { handle, params }
    this.#methods.set(name, method)
    return {
      [Symbol.dispose]: () => {
        if (this.#methods.get(name) === method) this.#methods.delete(name)
      },
    }
  }

  /** The text of the answer; `undefined` where none is due. A promise only when a handler gave one. */
  answer(text: string, request: Request): string | undefined | Promise<string | undefined> {
    const message = parseRpcLine(text)
    return message.kind === 'batch' ? this.#batch(message, request) : this.#one(message, request)
  }

  async #batch(batch: RpcBatch, request: Request): Promise<string | undefined> {
    const answers = await Promise.all(batch.messages.map(async (message) => this.#one(message, request)))
    const due = answers.filter((answer) => answer !== undefined)
    return due.length === 0 ? undefined : `[${due.join(',')}]`
  }

  #one(message: RpcMessage, request: Request): string | undefined | Promise<string | undefined> {
    switch (message.kind) {
      case 'request':
        return this.#run(message.id, message.method, message.params, request)
      case 'notification':
        return this.#run(undefined, message.method, message.params, request)
      case 'invalid':
        request.refused()
        return refusal(message.id, message.error)
      case 'answer':
        // A bus asks nobody. Answering an answer could go on for ever.
        request.refused()
        return undefined
    }
  }

  /** @param id `undefined` for a notification */
  #run(
    id: RpcId | undefined,
    name: string,
    params: unknown,
    request: Request,
  ): string | undefined | Promise<string | undefined> {
    const method = this.#methods.get(name)
    if (method === undefined || !request.admit()) {
      request.refused()
      if (id === undefined) return undefined
      return refusal(id, method === undefined ? NOT_FOUND : TOO_MANY)
    }
    const context: RequestContext = { method: name, peer: request.peer, signal: request.signal }
    const answered = (result: unknown): string | undefined => {
      request.settled()
      return id === undefined ? undefined : success(id, result)
    }
    const failed = (error: unknown): string | undefined => {
      request.settled()
      if (!ConclaveError.is(error)) request.failed(name, asError(error), id === undefined)
      return id === undefined ? undefined : failure(id, error)
    }
    let result: unknown
    try {
      result = handled(method, params, context)
    } catch (error) {
      return failed(error)
    }
    return isPromise(result) ? result.then(answered, failed) : answered(result)
  }
}

function handled({ handle, params: schema }: Method, params: unknown, context: RequestContext): unknown {
  if (schema === undefined) return handle(params, context)
  const checked = validate(schema, params, { code: 'INVALID_PARAMS', what: `The params of "${context.method}"` })
  return isPromise(checked) ? checked.then((value) => handle(value, context)) : handle(checked, context)
}

function isPromise(value: unknown): value is Promise<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

/** No result is null: the field has to be there. */
function success(id: RpcId, result: unknown): string {
  let json: string
  try {
    json = wireJson(result)
  } catch (cause) {
    return failure(id, new ConclaveError('INVALID_RESULT', 'The result of the method is no JSON.', { cause }))
  }
  return `{"jsonrpc":"2.0","id":${idText(id)},"result":${json}}`
}

/** What no handler saw, in the words of existing peers where they have some. */
function refusal(id: RpcId, { code, message }: ConclaveError): string {
  const text =
    code === 'PROTOCOL' ? 'parse error' : code === 'INVALID_REQUEST' ? `invalid request: ${message}` : message
  return errorText(id, { code: CODES[code], message: text })
}

/** What a handler throws without a code travels as existing peers send it: -32000 and the text. */
function failure(id: RpcId, error: unknown): string {
  const wire = errorToWire(error)
  const { code, message, data } = wire
  const plain = data?.code === 'FAILED' && data.data === undefined && (data.reason ?? 'Error') === 'Error'
  return errorText(id, plain ? { code, message } : wire)
}

function errorText(id: RpcId, error: object): string {
  return `{"jsonrpc":"2.0","id":${idText(id)},"error":${wireJson(error)}}`
}

function idText(id: RpcId): string {
  return typeof id === 'string' ? wireJson(id) : String(id)
}

const NOT_FOUND = new ConclaveError('METHOD_NOT_FOUND', 'ipc: method not found')
const TOO_MANY = new ConclaveError('OVERLOADED', 'ipc: too many requests run: try again when some are answered')
