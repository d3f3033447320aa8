import type { MethodSpec } from '../rpc/contract.ts'
import { isAsyncIterable, type RequestHandler } from '../rpc/dispatcher.ts'
import type { IncomingRequest } from '../rpc/run.ts'
import type { MemberRef } from '../wire/peers.ts'
import { validate, type Checkpoint } from '../wire/validate.ts'
import type { Scope } from './scope.ts'
import type { Context, Member } from './types.ts'

/** A user's handler, of any contract. */
export type UserHandler = (params: unknown, context: Context<never>) => unknown

/** What a handler knows of the call it serves. */
class CallContext implements Context<never> {
  readonly #request: IncomingRequest
  readonly #scoped: (scope: Scope) => Member<never>
  readonly #now: () => number
  #member: Member<never> | undefined

  constructor(request: IncomingRequest, now: () => number, scoped: (scope: Scope) => Member<never>) {
    this.#request = request
    this.#now = now
    this.#scoped = scoped
  }

  /** Its calls inherit deadline, abort and trace of the call that is served. */
  get member(): Member<never> {
    const { deadline, traceparent } = this.#request
    return (this.#member ??= this.#scoped({ deadline, traceparent, signal: () => this.signal, run: this.#request }))
  }

  get caller(): MemberRef {
    return this.#request.caller
  }

  get signal(): AbortSignal {
    return this.#request.signal
  }

  get remainingMs(): number {
    return Math.max(0, this.#request.deadline - this.#now())
  }

  get attempt(): number {
    return this.#request.attempt
  }

  get traceparent(): string | undefined {
    return this.#request.traceparent
  }
}

/** The user's handler between the checks of its contract. */
export function requestHandler(
  method: string,
  handler: UserHandler,
  spec: MethodSpec | undefined,
  now: () => number,
  scoped: (scope: Scope) => Member<never>,
): RequestHandler {
  const run = (request: IncomingRequest, params: unknown): unknown =>
    handler(params, new CallContext(request, now, scoped))
  if (spec === undefined) return (request) => run(request, request.params)
  const name = JSON.stringify(method)
  const { sensitive } = spec
  const params: Checkpoint = { code: 'INVALID_PARAMS', what: `The params of ${name}`, sensitive }
  const result: Checkpoint = { code: 'INVALID_RESULT', what: `The result of ${name}`, sensitive }
  const item: Checkpoint = { code: 'INVALID_RESULT', what: `An item of ${name}`, sensitive }
  const checked = (value: unknown): unknown => {
    // As the dispatcher has it: a query that can be awaited as well as iterated is awaited.
    if (isPromise(value)) return value.then(checked)
    return isAsyncIterable(value) ? checkedItems(value, spec, item, result) : answer(spec, value, result)
  }
  return (request) => {
    const valid = validate(spec.params, request.params, params)
    return isPromise(valid) ? valid.then((value) => checked(run(request, value))) : checked(run(request, valid))
  }
}

async function* checkedItems(
  iterable: AsyncIterable<unknown>,
  spec: MethodSpec,
  item: Checkpoint,
  result: Checkpoint,
): AsyncGenerator<unknown, unknown, undefined> {
  const items = iterable[Symbol.asyncIterator]()
  let ended = false
  try {
    for (;;) {
      const step = await items.next()
      ended = step.done === true
      if (step.done === true) return await answer(spec, step.value, result)
      yield await validate(spec.yields, step.value, item)
    }
  } finally {
    if (!ended) await items.return?.()
  }
}

/** A method without a result answers nothing, whatever its handler happens to return. */
function answer(spec: MethodSpec, value: unknown, at: Checkpoint): unknown {
  return spec.result === undefined ? undefined : validate(spec.result, value, at)
}

export function isPromise(value: unknown): value is Promise<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}
