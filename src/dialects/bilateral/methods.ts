import { ConclaveError } from '../../errors/index.ts'
import type { MethodTypes } from './codec.ts'
import { hasLoneSurrogate } from './keys.ts'

/** What a handler learns beside its arguments. */
export interface CallContext {
  /** Name of the peer that asks; with keys, its public key. */
  readonly sender: string
  /** `Type.method`. */
  readonly method: string
  /** A cast: the result goes nowhere. */
  readonly cast: boolean
  /** Aborts when the node closes. */
  readonly signal: AbortSignal
}

/** What it returns, or what its promise resolves with, is the reply; what it throws is an error at the caller. */
// oxlint-disable-next-line no-explicit-any -- each handler knows its own arguments
export type Handler = (args: any, context: CallContext) => unknown

/** Handlers by their whole names, `Type.method`. */
export type Handlers = Readonly<Record<string, Handler>> | ReadonlyMap<string, Handler>

export interface RegisterOptions {
  /** What stands before the dot, for an object's methods. Default: the name of its class. */
  readonly name?: string | undefined
  /** By whole name. */
  readonly types?: Readonly<Record<string, MethodTypes>> | undefined
}

export interface Method {
  readonly handler: Handler
  readonly types: MethodTypes | undefined
}

export class Methods {
  readonly #methods = new Map<string, Method>()

  get(name: string): Method | undefined {
    return this.#methods.get(name)
  }

  get names(): string[] {
    return [...this.#methods.keys()]
  }

  /**
   * All or nothing.
   * @throws `INVALID_OPTION` for a name that is taken or has no dot, and for an object without methods
   */
  register(target: object, { name, types = {} }: RegisterOptions): string[] {
    const found = isMap(target) ? mapped(target) : methodsOf(target, name)
    if (found.length === 0)
      throw new ConclaveError('INVALID_OPTION', 'There is no method to register: it holds no function.')
    for (const [method, handler] of found) {
      checkMethod(method)
      if (hasLoneSurrogate(method)) throw new ConclaveError('INVALID_OPTION', `${method} is no UTF-8.`)
      if (typeof handler !== 'function') throw new ConclaveError('INVALID_OPTION', `${method} is no function.`)
      if (this.#methods.has(method)) throw new ConclaveError('INVALID_OPTION', `${method} is registered already.`)
    }
    for (const [method, handler] of found) {
      this.#methods.set(method, { handler, types: Object.hasOwn(types, method) ? types[method] : undefined })
    }
    return found.map(([method]) => method)
  }
}

/** Existing nodes split the name at its last dot. @throws `INVALID_OPTION` */
export function checkMethod(name: string): void {
  const dot = name.lastIndexOf('.')
  if (dot > 0 && dot < name.length - 1) return
  throw new ConclaveError('INVALID_OPTION', `${JSON.stringify(name)} is no method: it reads Type.method.`)
}

function isMap(target: object): target is Handlers {
  if (target instanceof Map) return true
  const prototype: unknown = Object.getPrototypeOf(target)
  return prototype === Object.prototype || prototype === null
}

function mapped(target: Handlers): (readonly [string, Handler])[] {
  return target instanceof Map ? [...target] : Object.entries(target as Readonly<Record<string, Handler>>)
}

/** Of the class and of those it extends; a leading underscore keeps one private. */
function methodsOf(target: object, given: string | undefined): (readonly [string, Handler])[] {
  const type = given ?? target.constructor.name
  const found = new Map<string, Handler>()
  for (
    let at: object | null = target;
    at !== null && at !== Object.prototype;
    at = Object.getPrototypeOf(at) as object | null
  ) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (name === 'constructor' || name.startsWith('_') || typeof value !== 'function') continue
      const whole = `${type}.${name}`
      const method = value as Handler
      if (!found.has(whole)) found.set(whole, (args, context) => method.call(target, args, context) as unknown)
    }
  }
  return [...found]
}
