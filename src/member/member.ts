import type { CloseReason, Engine, EngineCall } from '../engine/engine.ts'
import { ConclaveError } from '../errors/index.ts'
import type { Event, PublishOptions, SubscribeOptions } from '../events/types.ts'
import { encodeBody, takeBody } from '../rpc/body.ts'
import type { Contract } from '../rpc/contract.ts'
import { CALL_TIMEOUT_MS, GATHER_TIMEOUT_MS } from '../rpc/limits.ts'
import type { CallOptions, GatherOptions, NotifyOptions, OfferOptions, Reply, To, ToMany, Wait } from '../rpc/types.ts'
import type { MemberRef, Role } from '../wire/peers.ts'
import { validate, type Checkpoint } from '../wire/validate.ts'
import type { DatabaseView, MemberDatabase } from './member-database.ts'
import { eventOf } from './events-spec.ts'
import { gather } from './gather.ts'
import { isPromise, requestHandler, type UserHandler } from './handlers.ts'
import { CLOSE_TIMEOUT_MS, INSPECT_TIMEOUT_MS } from './limits.ts'
import { ListenerTurns, throwUncaught } from './listening.ts'
import { MemberStream } from './member-stream.ts'
import { notifyMany } from './notify.ts'
import { checkTimeout, deadlineOf, manyOf, signalOf, specOf, targetOf, type Scope } from './scope.ts'
import { StatusFeed } from './status-feed.ts'
import { EventSubscription } from './subscription.ts'
import type { Member, Snapshot } from './types.ts'

/** Of the member, whichever view is looked through. */
export interface Own {
  refusedPublishes: number
  readonly turns: ListenerTurns
  database?: MemberDatabase | undefined
}

const NO_OPTIONS: CallOptions = {}

/**
 * What `join()` returns, seen through one contract. Several may look at one engine: `with()` gives another contract,
 * `ctx.member` one whose calls inherit deadline, abort and trace of the call that is served.
 *
 * The types of the public face live in types.ts; here everything is `unknown`, and a test holds the two together.
 */
export class MemberView {
  readonly #engine: Engine
  readonly #contract: Contract | undefined
  readonly #scope: Scope | undefined
  readonly #own: Own
  #db: DatabaseView | undefined

  constructor(
    engine: Engine,
    contract: Contract | undefined,
    scope?: Scope,
    own: Own = { refusedPublishes: 0, turns: new ListenerTurns() },
  ) {
    this.#engine = engine
    this.#contract = contract
    this.#scope = scope
    this.#own = own
  }

  get id(): string {
    return this.#engine.self.id
  }

  get name(): string {
    return this.#engine.self.name
  }

  get workspace(): string {
    return this.#engine.workspace
  }

  get role(): Role {
    return this.#engine.role
  }

  get term(): number {
    return this.#engine.term
  }

  get primary(): MemberRef | undefined {
    return this.#engine.primary
  }

  get closed(): Promise<CloseReason> {
    return this.#engine.closed
  }

  get db(): DatabaseView {
    const { database } = this.#own
    if (database === undefined) {
      const text = 'This member joined without a database: give join() the `database` option.'
      throw new ConclaveError('NO_DATABASE', text)
    }
    return (this.#db ??= database.view(this.#scope))
  }

  call(method: string, params?: unknown, options: CallOptions = NO_OPTIONS): Promise<unknown> {
    let request: EngineCall
    try {
      const timeoutMs = options.timeoutMs ?? specOf(this.#contract, method)?.timeoutMs ?? CALL_TIMEOUT_MS
      request = this.#request(method, params, options, timeoutMs)
    } catch (error) {
      return Promise.reject(error as Error)
    }
    return this.#engine.call(request)
  }

  stream(method: string, params?: unknown, options: CallOptions = {}): MemberStream {
    const patienceMs = options.timeoutMs ?? specOf(this.#contract, method)?.timeoutMs
    const request = this.#request(method, params, options, patienceMs ?? Infinity)
    return new MemberStream(this.#engine.stream({ ...request, patienceMs }))
  }

  gather(
    method: string,
    params?: unknown,
    options: GatherOptions = {},
  ): AsyncGenerator<Reply<unknown>, void, undefined> {
    const { to, want = Infinity, signal, timeoutMs = GATHER_TIMEOUT_MS } = options
    if (typeof want !== 'number' || !(want >= 0)) {
      throw new ConclaveError('INVALID_OPTION', 'want must be a number of at least 0.')
    }
    const request = this.#request(method, params, { signal }, timeoutMs)
    return gather(this.#engine, { ...request, to: manyOf(to), want, signal: request.signal })
  }

  async notify(method: string, params?: unknown, options: NotifyOptions = {}): Promise<void> {
    const { to } = options
    if (isMany(to)) await notifyMany(this.#engine, manyOf(to)!, this.#request(method, params, {}, CALL_TIMEOUT_MS))
    else await this.#engine.notify(this.#request(method, params, { to }, CALL_TIMEOUT_MS))
  }

  offer(methods: Readonly<Record<string, unknown>>, options: OfferOptions = {}): Disposable {
    const { concurrency, signal } = options
    if (concurrency !== undefined && !(Number.isInteger(concurrency) && concurrency >= 1 && concurrency < 2 ** 32)) {
      throw new ConclaveError('INVALID_OPTION', 'concurrency must be a whole number of at least 1.')
    }
    if (options.to !== undefined && options.to !== 'primary' && options.to !== 'any') {
      throw new ConclaveError('INVALID_OPTION', 'An offer is "to" the primary or any.')
    }
    const offered: string[] = []
    const withdraw = (): void => {
      signal?.removeEventListener('abort', withdraw)
      for (const method of offered.splice(0)) this.#engine.withdraw(method)
    }
    if (signal?.aborted === true) return { [Symbol.dispose]: withdraw }
    try {
      for (const [method, handler] of Object.entries(methods)) {
        if (handler === undefined) continue
        this.#offer(method, handler, options.to, concurrency ?? 0)
        offered.push(method)
      }
    } catch (error) {
      withdraw()
      throw error
    }
    signal?.addEventListener('abort', withdraw, { once: true })
    return { [Symbol.dispose]: withdraw }
  }

  publish(topic: string, data: unknown, options?: PublishOptions): Promise<number> {
    try {
      const spec = eventOf(this.#contract, topic)
      const sensitive = spec?.sensitive === true || options?.sensitive === true
      const value = spec === undefined ? data : validate(spec.data, data, dataOf(topic, sensitive))
      if (isPromise(value)) {
        Promise.resolve(value).catch(() => {})
        const text =
          spec === undefined
            ? `The data of ${topic} is a promise: await it first.`
            : `The schema of ${topic} is asynchronous, which would change the order of events: use a synchronous one.`
        throw new ConclaveError('INVALID_OPTION', text)
      }
      return this.#engine.publish(topic, takeBody(value, `The data of ${topic}`), this.#scope !== undefined, sensitive)
    } catch (error) {
      this.#own.refusedPublishes++
      const refused = Promise.reject<number>(error as Error)
      refused.catch(() => {})
      return refused
    }
  }

  subscribe(pattern: string, options: SubscribeOptions = {}): EventSubscription {
    return new EventSubscription(this.#engine, pattern, options)
  }

  on(pattern: string, listener: (event: Event) => unknown, options: SubscribeOptions = {}): EventSubscription {
    const subscription = this.subscribe(pattern, options)
    const ended = subscription.listen(listener, this.#own.turns)
    // That the member ended is told by `closed`; a subscription that ended by itself would be missed by nobody.
    ended.catch(async (error: unknown) => {
      const closed = this.#engine.closed.then(() => true)
      const goesOn = new Promise<boolean>((resolve) => setImmediate(resolve, false))
      if (!(await Promise.race([closed, goesOn]))) throwUncaught(error)
    })
    return subscription
  }

  with(contract?: Contract): MemberView {
    return new MemberView(this.#engine, contract, this.#scope, this.#own)
  }

  status(): StatusFeed {
    return new StatusFeed(this.#engine)
  }

  async inspect(): Promise<Snapshot> {
    const deadline = deadlineOf(this.#engine, INSPECT_TIMEOUT_MS, this.#scope)
    const snapshot = await this.#engine.inspect(deadline, signalOf(undefined, this.#scope))
    const { rejected = 0, ...own } = this.#engine.counters()
    const counters: Record<string, number> = { ...snapshot.counters }
    for (const [name, count] of Object.entries(own)) counters[`own.${name}`] = count
    counters['own.rejected'] = rejected + this.#own.refusedPublishes
    return { workspace: this.#engine.workspace, ...snapshot, counters }
  }

  async close(options: Wait = {}): Promise<void> {
    const { timeoutMs = CLOSE_TIMEOUT_MS, signal } = options
    checkTimeout(timeoutMs)
    const { database } = this.#own
    const first = (): Promise<void> | undefined => database?.close(this.#engine.now() + timeoutMs)
    const run = this.#scope?.run
    await this.#engine.close({ timeoutMs, signal, first, byHandler: run?.over === false ? run : undefined })
  }

  abort(reason?: unknown): void {
    this.#engine.abort(reason)
  }

  ref(): this {
    this.#engine.ref()
    return this
  }

  unref(): this {
    this.#engine.unref()
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #request(method: string, params: unknown, options: CallOptions, timeoutMs: number): EngineCall {
    if (typeof method !== 'string' || method === '' || method.includes('\0')) {
      throw new ConclaveError('INVALID_OPTION', 'A method name is a string that is not empty and holds no NUL.')
    }
    const spec = specOf(this.#contract, method)
    return {
      method,
      body: encodeBody(params, `The params of ${method}`),
      target: targetOf(options.to ?? spec?.to),
      deadline: deadlineOf(this.#engine, timeoutMs, this.#scope),
      idempotent: options.idempotent ?? spec?.idempotent,
      traceparent: this.#scope?.traceparent,
      nested: this.#scope !== undefined,
      signal: signalOf(options.signal, this.#scope),
    }
  }

  #offer(method: string, handler: unknown, to: 'primary' | 'any' | undefined, concurrency: number): void {
    const spec = specOf(this.#contract, method)
    if (typeof handler !== 'function') {
      throw new ConclaveError('INVALID_OPTION', `The handler of ${method} must be a function, not ${typeof handler}.`)
    }
    if (this.#contract?.methods !== undefined && spec === undefined) {
      throw new ConclaveError('INVALID_OPTION', `The contract has no method ${method}: add it there, or offer without.`)
    }
    const scoped = (scope: Scope): Member<never> =>
      asMember(new MemberView(this.#engine, this.#contract, scope, this.#own))
    this.#engine.offer({
      method,
      to: to ?? spec?.to ?? 'primary',
      concurrency,
      handler: requestHandler(method, handler as UserHandler, spec, () => this.#engine.now(), scoped),
    })
  }
}

/** The one place where the untyped view becomes the typed face. */
export function asMember<C>(view: MemberView): Member<C> {
  return view as unknown as Member<C>
}

function dataOf(topic: string, sensitive: boolean): Checkpoint {
  return { code: 'INVALID_PARAMS', what: `The data of ${JSON.stringify(topic)}`, sensitive }
}

/** A notification to a name is for all that have it. */
function isMany(to: To | ToMany | undefined): to is ToMany {
  return to === 'all' || to === 'others' || (typeof to === 'object' && to !== null && ('ids' in to || 'name' in to))
}
