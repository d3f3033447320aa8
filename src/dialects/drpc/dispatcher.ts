import { ConclaveError } from '../../errors/index.ts'
import { errorToStatus, isFailure, newFailure } from './failure.ts'
import { decodeBody, encodeBody } from './marshal.ts'
import type { Call } from './messages.ts'
import type { Protobuf } from './protobuf.ts'
import { Status } from './status.ts'
import type { CallContext, Method, Module } from './types.ts'

/** How a call ended. The body is there with SUCCESS only. */
export interface Ending {
  readonly status: Status
  readonly body?: Uint8Array
}

interface Registered {
  readonly module: Module
  readonly methods: ReadonlyMap<number, Method>
}

const NOTHING = new Uint8Array(0)

/** The modules of a server. Whatever a handler does, a call ends with a status. */
export class Dispatcher {
  readonly #modules = new Map<number, Registered>()
  readonly #onFault: (error: unknown, context: CallContext) => void

  /** @param onFault gets what handlers threw that was no failure of theirs */
  constructor(onFault: (error: unknown, context: CallContext) => void) {
    this.#onFault = onFault
  }

  /** @throws `CONFLICT` for an id that is taken, `INVALID_OPTION` for a method that nothing handles */
  register(module: Module): void {
    if (this.#modules.has(module.id)) {
      throw new ConclaveError('CONFLICT', `A module with the id ${module.id} is registered already.`)
    }
    const methods = Object.values(module.methods as Readonly<Record<string, Method>>)
    const idle = methods.find((method) => method.handle === undefined && module.handleCall === undefined)
    if (idle !== undefined) {
      throw new ConclaveError('INVALID_OPTION', `${module.name}.${idle.name} has no handle(): a server can't offer it.`)
    }
    const handled = methods.filter((method) => method.handle !== undefined)
    this.#modules.set(module.id, { module, methods: new Map(handled.map((method) => [method.id, method])) })
  }

  /** A promise only when the handler gave one. Never throws, never rejects. */
  dispatch(protobuf: Protobuf, call: Call, context: CallContext): Ending | Promise<Ending> {
    try {
      const registered = this.#modules.get(call.module)
      if (registered === undefined) return { status: Status.UNKNOWN_MODULE }
      const method = registered.methods.get(call.method)
      const { handleCall } = registered.module
      if (method === undefined && handleCall === undefined) return { status: Status.UNKNOWN_METHOD }
      const result =
        method === undefined
          ? handleCall?.(call.method, call.body, context)
          : this.#run(protobuf, method, call.body, context)
      if (!isPromise(result)) return this.#succeeded(protobuf, method, result)
      // Anything may have a `then`; what it returns need not be a promise.
      return Promise.resolve(result)
        .then((value) => this.#succeeded(protobuf, method, value))
        .catch((error) => this.#failed(error, context))
    } catch (error) {
      return this.#failed(error, context)
    }
  }

  #run(protobuf: Protobuf, method: Method, body: Uint8Array, context: CallContext): unknown {
    const { request } = method
    return method.handle?.(request === undefined ? body : decodeBody(protobuf, request, body), context)
  }

  #succeeded(protobuf: Protobuf, method: Method | undefined, value: unknown): Ending {
    const schema = method?.response
    if (schema !== undefined) return { status: Status.SUCCESS, body: encodeBody(protobuf, schema, value ?? {}) }
    if (value === undefined) return { status: Status.SUCCESS, body: NOTHING }
    if (value instanceof Uint8Array) return { status: Status.SUCCESS, body: value }
    throw newFailure(Status.FAILED_MARSHAL, `A handler of raw bytes returned ${typeof value}: return a Uint8Array.`)
  }

  #failed(error: unknown, context: CallContext): Ending {
    const thrown = error ?? new ConclaveError('FAILED', 'The handler threw nothing.')
    const status = errorToStatus(thrown)
    const meant = isFailure(thrown) && status !== Status.FAILED_MARSHAL
    if (!meant) this.#onFault(thrown, context)
    // A handler can't fail with success.
    return { status: status === Status.SUCCESS ? Status.FAILURE : status }
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
