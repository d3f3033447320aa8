import { ConclaveError, errorFromWire } from '../../errors/index.ts'
import { oneTurn, type Verb } from '../../election/index.ts'
import { Publisher } from '../../events/publisher.ts'
import { Subscriber, type ActiveSubscription, type SubscriptionRequest } from '../../events/subscriber.ts'
import type { Event } from '../../events/types.ts'
import { TO_PRIMARY } from '../../rpc/address.ts'
import { decodeBody, encodeBody, type Body } from '../../rpc/body.ts'
import { Caller, type FrameSink } from '../../rpc/caller.ts'
import { Dispatcher } from '../../rpc/dispatcher.ts'
import { IncomingStream } from '../../rpc/incoming-stream.ts'
import type { CallSpec, PendingCall } from '../../rpc/pending.ts'
import { DeadlineWheel } from '../../rpc/timers.ts'
import { FLAG, Frame, KIND } from '../../wire/frame.ts'
import { MAX_NAME_BYTES } from '../../wire/limits.ts'
import type { EngineCall, EngineOffer, EngineStatus, EngineStream, HubSnapshot, Peers, PeersQuery } from '../engine.ts'
import { MAX_OFFERS } from './limits.ts'
import { Roster } from './roster.ts'
import { warning } from './warning.ts'

export interface DeskOptions {
  readonly now: () => number
  readonly ref: boolean
  readonly limits: Readonly<Record<string, number | undefined>>
  /** True while the primary has been silent for too long (rule B2). */
  readonly unresponsive: () => boolean
  /** Why a verb is refused in the member's present state. */
  readonly refusal: (verb: Verb, nested?: boolean) => ConclaveError | undefined
  readonly tell: (status: EngineStatus) => void
  /** The switchboard takes nothing new from this member. */
  readonly onGoAway: () => void
}

/**
 * Everything a member says and hears: its calls and those it answers, its events and its subscriptions. It outlives links
 * and terms: what waits here goes on with the next primary.
 */
export class Desk {
  readonly roster: Roster
  readonly #options: DeskOptions
  readonly #wheel: DeadlineWheel
  readonly #caller: Caller
  readonly #dispatcher: Dispatcher
  readonly #publisher: Publisher
  readonly #subscriber: Subscriber
  readonly #offers = new Map<string, EngineOffer>()
  readonly #frame = new Frame()
  /** Where frames go; `undefined` while there is no primary. */
  #sink: FrameSink | undefined
  #ponged = false
  /** Runs whose handlers wait for the others. */
  readonly #waitingForOthers = new Set<{ readonly over: boolean }>()
  #ref: boolean
  #holds = 0
  #keepAlive: NodeJS.Timeout | undefined

  constructor(options: DeskOptions) {
    const { now, ref, limits, unresponsive, tell } = options
    this.#options = options
    this.#ref = ref
    this.#wheel = new DeadlineWheel({ now, ref })
    this.#caller = new Caller({
      wheel: this.#wheel,
      unresponsive,
      maxPendingCalls: limits['maxPendingCalls'],
      maxPendingBytes: limits['maxPendingBytes'],
    })
    this.#dispatcher = new Dispatcher(this.#wheel)
    this.#publisher = new Publisher({
      maxUnacked: limits['maxUnackedPublishes'],
      maxUnackedBytes: limits['maxUnackedBytes'],
    })
    this.#subscriber = new Subscriber((pattern, count) => tell({ type: 'dropped', pattern, count }))
    this.roster = new Roster(this.#dispatcher)
  }

  get attached(): boolean {
    return this.#sink !== undefined
  }

  /** An answer of the switchboard is due. */
  get outstanding(): boolean {
    return this.#caller.inFlight > 0 || this.#publisher.unacked > 0 || this.#subscriber.waiting > 0
  }

  /** Something was asked for, and has not ended, that keeps the process alive. */
  get held(): boolean {
    return this.#holds > 0
  }

  now(): number {
    return this.#wheel.now()
  }

  call(call: EngineCall): Promise<unknown> {
    return this.#ask(call, 0, decodeBody, call.nested)
  }

  async notify(call: EngineCall): Promise<void> {
    await this.#ask(call, FLAG.NOTIFY, () => undefined, call.nested)
  }

  stream(call: EngineCall): EngineStream {
    let pending: PendingCall | undefined
    const stream = new IncomingStream(
      (bytes) => {
        if (pending !== undefined) this.#caller.credit(pending, bytes)
      },
      () => {
        if (pending !== undefined) this.#caller.waits(pending)
      },
    )
    const refused = this.#options.refusal('request', call.nested)
    const release = this.#hold()
    stream.result.then(release, release)
    if (refused !== undefined) stream.reply.error(refused)
    else pending = this.#caller.start(call, FLAG.STREAM, stream.reply)
    return {
      next: () => stream.next(),
      result: stream.result,
      cancel: (reason) => {
        stream.leave()
        const text = `The stream of ${call.method} was left by its reader.`
        if (pending !== undefined) this.#caller.cancel(pending, new ConclaveError('ABORTED', text, { cause: reason }))
      },
    }
  }

  async peers(query: PeersQuery, deadline: number, signal?: AbortSignal): Promise<Peers> {
    return (await this.#query('peers', query, deadline, signal)) as Peers
  }

  async inspect(deadline: number, signal?: AbortSignal): Promise<HubSnapshot> {
    return (await this.#query('inspect', {}, deadline, signal)) as HubSnapshot
  }

  offer(offer: EngineOffer): void {
    this.#refuse('register')
    const bytes = Buffer.byteLength(offer.method)
    if (bytes === 0 || bytes > MAX_NAME_BYTES || offer.method.includes('\0')) {
      throw new ConclaveError('INVALID_OPTION', `A method's name has 1 to ${MAX_NAME_BYTES} bytes and no NUL.`)
    }
    if (this.#offers.size >= MAX_OFFERS) {
      throw new ConclaveError('OVERLOADED', `A member may offer ${MAX_OFFERS} methods: withdraw some.`)
    }
    this.#dispatcher.handle(offer.method, offer.handler)
    this.#offers.set(offer.method, offer)
    if (this.#sink !== undefined) this.#announceOffer(this.#sink, offer)
  }

  withdraw(method: string): void {
    if (!this.#offers.delete(method)) return
    this.#dispatcher.remove(method)
    this.#announceWithdrawal(method)
  }

  open(): void {
    this.#dispatcher.open()
  }

  publish(topic: string, body: Body, nested?: boolean, sensitive?: boolean): Promise<number> {
    const refused = this.#options.refusal('request', nested)
    if (refused !== undefined) {
      const rejected = Promise.reject<number>(refused)
      rejected.catch(() => {})
      return rejected
    }
    const published = this.#publisher.publish(topic, body, sensitive)
    if (!this.#ref) {
      const release = this.#hold()
      published.then(release, release)
    }
    return published
  }

  subscribe<Out>(
    request: SubscriptionRequest,
    deliver: (event: Event, missed: number, atLeast: number) => Out,
  ): ActiveSubscription<Out> {
    this.#refuse('register')
    return this.#subscriber.subscribe(request, deliver)
  }

  unsubscribe(subscription: ActiveSubscription<unknown>): void {
    this.#subscriber.unsubscribe(subscription)
  }

  counters(): Readonly<Record<string, number>> {
    const { calls, repeated, timedOut, unknownReplies } = this.#caller.counters
    const { requests, expired, failed, attached } = this.#dispatcher.counters
    const { published, rejected, repeated: republished } = this.#publisher.counters
    const { received, dropped, missed, duplicates } = this.#subscriber
    return {
      ...{ calls, repeated, timedOut, unknownReplies, pending: this.#caller.pendingCount },
      ...{ requests, expired, failed, attached, running: this.#dispatcher.running },
      ...{ published, rejected, republished, unacked: this.#publisher.unacked },
      ...{ received, dropped, missed, duplicates, subscriptions: this.#subscriber.count },
    }
  }

  ref(): void {
    this.#ref = true
    this.#wheel.ref()
  }

  unref(): void {
    this.#ref = false
    this.#wheel.unref()
  }

  /** There is a switchboard to talk to; `lastPublish` is the highest number of ours that it has taken. */
  attach(sink: FrameSink, term: number, lastPublish: number): void {
    this.#sink = sink
    this.#dispatcher.attach(sink)
    for (const offer of this.#offers.values()) this.#announceOffer(sink, offer)
    // Behind the offers: the switchboard has all of them.
    sink.send(this.#frame.set(KIND.PING, 0, 0, 0, 0, 0, 0))
    this.#subscriber.attach(sink, term)
    this.#publisher.attach(sink, term, lastPublish)
    this.#caller.attach(sink)
  }

  /** @param taken bytes of the link that left this process */
  detach(taken: number | undefined): void {
    this.#sink = undefined
    this.#dispatcher.detach()
    this.#subscriber.detach()
    this.#publisher.detach()
    this.#caller.detach(taken)
  }

  /** Nothing more is published on this link: its switchboard is closing. */
  holdEvents(): void {
    this.#publisher.detach()
  }

  /** Takes every offer back. The handlers stay: calls that the switchboard passed on before it knew still come. */
  async withdrawAll(isOver: () => boolean): Promise<void> {
    if (this.#offers.size === 0) return
    for (const method of this.#offers.keys()) this.#announceWithdrawal(method)
    this.#ponged = false
    this.#sink?.send(this.#frame.set(KIND.PING, 0, 0, 0, 0, 0, 0))
    await this.#while(() => !this.#ponged, isOver)
  }

  /** Until this member's handlers have ended, or the time is up. */
  served(isOver: () => boolean): Promise<void> {
    return this.#while(() => this.#dispatcher.running > 0, isOver)
  }

  /** Until only handlers run that wait for this, or the member has ended. */
  othersServed(run: { readonly over: boolean }): Promise<void> {
    this.#waitingForOthers.add(run)
    const waiting = (): number => [...this.#waitingForOthers].filter(({ over }) => !over).length
    return this.#while(
      () => this.#dispatcher.running > waiting(),
      () => false,
    )
  }

  /** Until this member's handlers, calls and publishes have ended, or the time is up. */
  settled(isOver: () => boolean): Promise<void> {
    return this.#while(() => this.#dispatcher.running > 0 || this.outstanding, isOver)
  }

  /** The member leaves in order. */
  sayGoodbye(): void {
    this.#sink?.send(this.#frame.set(KIND.GOODBYE, 0, 0, 0, 0, 0, 0))
  }

  /** Everything that waits ends with the error. */
  close(error: ConclaveError, inOrder: boolean): void {
    this.#caller.close(error)
    this.#dispatcher.close(error)
    this.#publisher.close(error)
    this.#subscriber.close(error, !inOrder)
    this.#sink = undefined
    this.#wheel.close()
    clearInterval(this.#keepAlive)
  }

  /** No user code runs inside: it may be called from within a call of the user's. */
  readonly receive = (frame: Frame): void => {
    switch (frame.kind) {
      case KIND.RESPONSE:
      case KIND.FAILURE:
      case KIND.ITEM:
      case KIND.TAKEN:
        return this.#caller.receive(frame)
      case KIND.REQUEST:
      case KIND.CANCEL:
      case KIND.CREDIT:
        return this.#dispatcher.receive(frame)
      case KIND.EVENT:
        return this.#event(frame)
      case KIND.PUBLISHED:
        return this.#publisher.receive(frame)
      case KIND.SUBSCRIBED:
      case KIND.MISSED:
        return this.#subscriber.receive(frame)
      case KIND.MEMBER:
        return this.roster.introduced(frame)
      case KIND.GOAWAY:
        this.#caller.hold(frame.number)
        return this.#options.onGoAway()
      case KIND.TERM_END:
        return this.#subscriber.termEnded()
      case KIND.PING:
        this.#sink?.send(this.#frame.set(KIND.PONG, 0, 0, 0, 0, frame.number, 0))
        return
      case KIND.PONG:
        if (frame.number === 0) this.#ponged = true
        return
      case KIND.REFUSE:
        return this.#options.tell({ type: 'warning', error: errorFromWire(JSON.parse(frame.text)) })
      default:
    }
  }

  #event(frame: Frame): void {
    if (!this.#subscriber.wants(frame.b)) return
    let data: unknown
    try {
      data = decodeBody(frame)
    } catch (error) {
      this.#options.tell({ type: 'warning', error: warning(error) })
    }
    this.#subscriber.event(frame, this.roster.nameOf(frame.a), data)
  }

  #announceOffer(sink: FrameSink, { method, to, concurrency }: EngineOffer): void {
    sink.send(this.#frame.set(KIND.OFFER, 0, 0, concurrency, to === 'any' ? 1 : 0, 0, 0).withName(method))
  }

  #announceWithdrawal(method: string): void {
    this.#sink?.send(this.#frame.set(KIND.WITHDRAW, 0, 0, 0, 0, 0, 0).withName(method))
  }

  #ask<T>(spec: CallSpec, flags: number, read: (frame: Frame) => T, nested?: boolean): Promise<T> {
    const refused = this.#options.refusal('request', nested)
    if (refused !== undefined) return Promise.reject(refused)
    return new Promise<T>((resolve, reject) => {
      if (this.#ref) {
        this.#caller.start(spec, flags, { result: (frame) => resolve(read(frame)), error: reject })
        return
      }
      const release = this.#hold()
      this.#caller.start(spec, flags, {
        result: (frame) => {
          resolve(read(frame))
          release()
        },
        error: (error) => {
          reject(error)
          release()
        },
      })
    })
  }

  #query(what: string, query: unknown, deadline: number, signal: AbortSignal | undefined): Promise<unknown> {
    const body = encodeBody(query, 'The query')
    return this.#ask({ kind: KIND.QUERY, method: what, body, target: TO_PRIMARY, deadline, signal }, 0, decodeBody)
  }

  #refuse(verb: Verb): void {
    const refused = this.#options.refusal(verb)
    if (refused !== undefined) throw refused
  }

  async #while(waiting: () => boolean, isOver: () => boolean): Promise<void> {
    while (waiting() && this.#sink !== undefined && !isOver()) {
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    // What came while the loop was busy is read before the time counts (rule B1).
    if (waiting() && this.#sink !== undefined) await oneTurn()
  }

  /** Pending work keeps the process alive even when the member does not. @returns how to let go */
  #hold(): () => void {
    this.#holds++
    if (!this.#ref) this.#keepAlive ??= setInterval(() => {}, 2 ** 30)
    return () => {
      if (--this.#holds > 0) return
      clearInterval(this.#keepAlive)
      this.#keepAlive = undefined
    }
  }
}
