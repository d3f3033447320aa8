import { ConclaveError, errorFromWire } from '../errors/index.ts'
import { FLAG, Frame, KIND } from '../wire/frame.ts'
import { NameCache } from '../wire/names.ts'
import type { MemberRef } from '../wire/peers.ts'
import type { OutgoingTransfer } from '../wire/transfer.ts'
import { MAX_REMEMBERED_PUBLISHERS, MAX_SUBSCRIPTIONS } from './limits.ts'
import { seqOf, termOf } from './position.ts'
import { SubscriptionQueue, type Overflow } from './queue.ts'
import { checkPattern } from './topics.ts'
import type { Event } from './types.ts'

interface Sink {
  send(frame: Frame): OutgoingTransfer | undefined
}

export type From = 'now' | 'earliest' | { readonly after: number } | { readonly last: number }

export interface SubscriptionRequest {
  readonly pattern: string
  readonly from: From
  readonly maxQueued: number | undefined
  readonly overflow: Overflow | undefined
}

/** What SUBSCRIBE carries; docs/wire.md describes it. */
export interface SubscribeBody {
  readonly from: From
  readonly maxQueued?: number | undefined
  readonly overflow?: Overflow | undefined
  /** A subscription that goes on: how many matching events it knows of, received or missed, in this term. */
  readonly seen?: number | undefined
  /** It had everything of the term of `after`: that term ended in good order. */
  readonly whole?: boolean | undefined
}

/** What SUBSCRIBED answers. */
export interface SubscribedBody {
  /** Number, within the term, of the last event before the first that will be delivered. */
  readonly after: number
  /** Matching events lost between the position asked for and what is delivered. */
  readonly missed: number
  readonly exact: boolean
}

/** One subscription of this member. It outlives links: each new one takes it up where it stands. */
export class ActiveSubscription<Out> {
  readonly id: number
  readonly request: SubscriptionRequest
  readonly queue: SubscriptionQueue<Event, Out>
  readonly ready: Promise<number>
  resolveReady!: (seq: number) => void
  rejectReady!: (error: Error) => void
  started = false
  /** Position of the last event received, or of the start. */
  seq = 0
  /** Matching events of the present term received or told as missed. */
  seen = 0
  /** Last number by publisher: a new primary may be offered again what the old one had delivered (rule A12). */
  readonly #lastNumbers = new Map<string, { number: number }>()

  constructor(id: number, request: SubscriptionRequest, queue: SubscriptionQueue<Event, Out>) {
    this.id = id
    this.request = request
    this.queue = queue
    this.ready = new Promise((resolve, reject) => {
      this.resolveReady = resolve
      this.rejectReady = reject
    })
    this.ready.catch(() => {})
  }

  /** @returns false for a publish that this subscription has had */
  isNew(publisher: string, number: number): boolean {
    if (number === 0) return true
    const last = this.#lastNumbers.get(publisher)
    if (last !== undefined) {
      if (number <= last.number) return false
      last.number = number
      return true
    }
    if (this.#lastNumbers.size >= MAX_REMEMBERED_PUBLISHERS) {
      for (const oldest of this.#lastNumbers.keys()) {
        this.#lastNumbers.delete(oldest)
        break
      }
    }
    this.#lastNumbers.set(publisher, { number })
    return true
  }
}

/** The subscribing side of a member. */
export class Subscriber {
  readonly #subscriptions = new Map<number, ActiveSubscription<unknown>>()
  readonly #frame = new Frame()
  readonly #topics = new NameCache()
  readonly #onDropped: (pattern: string, count: number) => void
  #sink: Sink | undefined
  #term = 0
  #whole = false
  #nextId = 1
  #closed: ConclaveError | undefined
  duplicates = 0
  received = 0
  dropped = 0
  missed = 0

  /** @param onDropped a full queue of this process lost events */
  constructor(onDropped: (pattern: string, count: number) => void) {
    this.#onDropped = onDropped
  }

  get count(): number {
    return this.#subscriptions.size
  }

  /** Subscriptions that were asked for and are not answered. */
  get waiting(): number {
    let waiting = 0
    for (const { started } of this.#subscriptions.values()) if (!started) waiting++
    return waiting
  }

  /** @throws `INVALID_OPTION`, `OVERLOADED`, or what the member was closed with */
  subscribe<Out>(
    request: SubscriptionRequest,
    deliver: (event: Event, missed: number, atLeast: number) => Out,
  ): ActiveSubscription<Out> {
    if (this.#closed !== undefined) throw this.#closed
    checkPattern(request.pattern)
    if (this.#subscriptions.size >= MAX_SUBSCRIPTIONS) {
      throw new ConclaveError(
        'OVERLOADED',
        `This member has ${MAX_SUBSCRIPTIONS} subscriptions: close some, or subscribe once to a wider pattern.`,
      )
    }
    const queue = new SubscriptionQueue<Event, Out>({
      maxQueued: request.maxQueued,
      overflow: request.overflow,
      deliver,
    })
    const subscription = new ActiveSubscription(this.#nextId++, request, queue)
    this.#subscriptions.set(subscription.id, subscription as ActiveSubscription<unknown>)
    if (this.#sink !== undefined) this.#announce(subscription as ActiveSubscription<unknown>)
    return subscription
  }

  unsubscribe(subscription: ActiveSubscription<never> | ActiveSubscription<unknown>): void {
    if (!this.#subscriptions.delete(subscription.id)) return
    subscription.rejectReady(new ConclaveError('CLOSED', 'The subscription was closed before it began.'))
    this.#sink?.send(this.#frame.set(KIND.UNSUBSCRIBE, 0, 0, subscription.id, 0, 0, 0))
  }

  /** Takes every subscription up on a new link, in the order they were made. */
  attach(sink: Sink, term: number): void {
    const newTerm = term !== this.#term
    this.#sink = sink
    for (const subscription of this.#subscriptions.values()) {
      if (newTerm) subscription.seen = 0
      this.#announce(subscription)
    }
    this.#term = term
    this.#whole = false
  }

  detach(): void {
    this.#sink = undefined
  }

  /** Everything of this term has been received: what comes next misses nothing. */
  termEnded(): void {
    this.#whole = true
  }

  close(error: ConclaveError, failed: boolean): void {
    this.#closed = error
    for (const subscription of this.#subscriptions.values()) {
      subscription.rejectReady(error)
      if (failed) subscription.queue.fail(error)
      else subscription.queue.close()
    }
    this.#subscriptions.clear()
    this.#sink = undefined
  }

  /** SUBSCRIBED, MISSED: what the switchboard tells of a subscription. */
  receive(frame: Frame): void {
    const subscription = this.#subscriptions.get(frame.b)
    if (subscription === undefined) return
    if (frame.kind === KIND.MISSED) {
      this.#miss(subscription, frame.number, (frame.flags & FLAG.INEXACT) === 0)
      // Told as lost: a later link must not be asked for them again.
      subscription.seq = seqOf(this.#term, frame.c)
    } else if (frame.hasBody) this.#subscribed(subscription, frame)
  }

  /** EVENT, of a publisher that was introduced. */
  event(frame: Frame, publisher: MemberRef, data: unknown): void {
    const subscription = this.#subscriptions.get(frame.b)
    if (subscription === undefined) return
    const seq = seqOf(this.#term, frame.c)
    subscription.seen++
    subscription.seq = seq
    if (publisher.id !== '' && !subscription.isNew(publisher.id, frame.number)) {
      this.duplicates++
      return
    }
    this.received++
    const topic = frame.nameText ?? this.#topics.read(frame.bytes, frame.nameStart, frame.nameEnd)
    const { time } = frame
    const event: Event = {
      topic,
      data,
      seq,
      term: this.#term,
      publisher,
      time,
      sensitive: (frame.flags & FLAG.SENSITIVE) !== 0,
      missed: 0,
      missedAtLeast: 0,
      exact: true,
    }
    const dropped = subscription.queue.push(event, frame.bodyEnd - frame.bodyStart + 64)
    if (dropped > 0) {
      this.dropped += dropped
      this.#onDropped(subscription.request.pattern, dropped)
      if (subscription.queue.ended) this.unsubscribe(subscription)
    }
  }

  wants(id: number): boolean {
    return this.#subscriptions.has(id)
  }

  #announce(subscription: ActiveSubscription<unknown>): void {
    const { id, request } = subscription
    const { pattern, from, maxQueued, overflow } = request
    const body: SubscribeBody = subscription.started
      ? {
          from: { after: subscription.seq },
          maxQueued,
          overflow,
          seen: subscription.seen,
          whole: this.#whole && termOf(subscription.seq) === this.#term,
        }
      : { from, maxQueued, overflow }
    this.#sink!.send(
      this.#frame.set(KIND.SUBSCRIBE, 0, 0, id, 0, 0, 0).withName(pattern).withBody(JSON.stringify(body)),
    )
  }

  #subscribed(subscription: ActiveSubscription<unknown>, frame: Frame): void {
    const answer = JSON.parse(frame.text) as SubscribedBody & { readonly error?: unknown }
    if (answer.error !== undefined) {
      const error = errorFromWire(answer.error)
      this.#subscriptions.delete(subscription.id)
      subscription.rejectReady(error)
      subscription.queue.fail(error)
      return
    }
    if (answer.missed > 0 || !answer.exact) this.#miss(subscription, answer.missed, answer.exact)
    subscription.seq = seqOf(this.#term, answer.after)
    if (subscription.started) return
    subscription.started = true
    subscription.resolveReady(subscription.seq)
  }

  #miss(subscription: ActiveSubscription<unknown>, count: number, exact: boolean): void {
    subscription.seen += count
    this.missed += count
    subscription.queue.noteMissed(exact ? count : Infinity, count)
  }
}
