import { ConclaveError } from '../errors/index.ts'
import { QUEUE_MAX_BYTES, QUEUE_MAX_COUNT } from './limits.ts'

export type Overflow = 'drop-oldest' | 'drop-newest' | 'disconnect'

/** Events a subscriber did not get: `count` is Infinity when nobody knows the number, `atLeast` is always finite. */
export interface Loss {
  readonly count: number
  readonly atLeast: number
}

export interface QueueOptions<E, Out> {
  /** Default 1000, at least 1. */
  readonly maxQueued?: number | undefined
  /** Default 8 MiB. One event alone may be larger: it waits when nothing else does. */
  readonly maxBytes?: number | undefined
  /** Default `drop-oldest`. */
  readonly overflow?: Overflow | undefined
  /**
   * Makes what the consumer gets, as it gets it: an event that is dropped is never decoded. `missed` were lost right
   * before this one; it is Infinity, with `atLeast` beside it, when the number is not known. What it throws is what
   * that one `next()` rejects with (`shift()` throws it); the event counts as delivered and the next one follows.
   */
  readonly deliver: (event: E, missed: number, atLeast: number) => Out
  /** Told of each event dropped at the bound. */
  readonly onDrop?: ((event: E) => void) | undefined
}

/** Kept and filled anew, so that a queue that has reached its size allocates nothing for an event. */
interface Slot<E> {
  event: E | undefined
  bytes: number
  /** Lost between the event before and this one: how many for certain, and whether that is all. */
  lost: number
  uncounted: boolean
}

type Settle<Out> = readonly [resolve: (value: Out | undefined) => void, reject: (error: unknown) => void]

const SMALLEST = 16

/**
 * What waits for one subscriber, with an exact account: the events delivered, those reported as missed, those still
 * queued and `unreported` together are the events offered. A loss is reported with the event that followed it.
 */
export class SubscriptionQueue<E, Out = E> {
  readonly #maxQueued: number
  readonly #maxBytes: number
  readonly #overflow: Overflow
  readonly #deliver: (event: E, missed: number, atLeast: number) => Out
  readonly #onDrop: ((event: E) => void) | undefined
  #onReady: (() => void) | undefined
  /** Waiting `next()` calls; there are some only while nothing is queued. */
  readonly #waiting: Settle<Out>[] = []
  readonly #wait = (resolve: (value: Out | undefined) => void, reject: (error: unknown) => void): void => {
    this.#waiting.push([resolve, reject])
  }
  readonly #take = (resolve: (value: Out | undefined) => void): void => resolve(this.shift())
  #slots: Slot<E>[] = []
  #first = 0
  #size = 0
  #bytes = 0
  #dropped = 0
  /** Lost after the last event that is queued or delivered. */
  #lost = 0
  #uncounted = false
  #ended = false
  #error: { readonly thrown: unknown } | undefined

  /** @throws `INVALID_OPTION` */
  constructor(options: QueueOptions<E, Out>) {
    const { maxQueued = QUEUE_MAX_COUNT, maxBytes = QUEUE_MAX_BYTES, overflow = 'drop-oldest', deliver } = options
    if (!Number.isInteger(maxQueued) || maxQueued < 1) {
      throw new ConclaveError('INVALID_OPTION', `maxQueued must be a whole number of at least 1, not ${maxQueued}.`)
    }
    if (!['drop-oldest', 'drop-newest', 'disconnect'].includes(overflow)) {
      const named = JSON.stringify(overflow)
      throw new ConclaveError(
        'INVALID_OPTION',
        `overflow must be drop-oldest, drop-newest or disconnect, not ${named}.`,
      )
    }
    this.#maxQueued = maxQueued
    this.#maxBytes = maxBytes
    this.#overflow = overflow
    this.#deliver = deliver
    this.#onDrop = options.onDrop
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Events this queue dropped at its bound; those told by `noteMissed` are not among them. */
  get dropped(): number {
    return this.#dropped
  }

  /** Nothing more is accepted; what is queued may still be taken. */
  get ended(): boolean {
    return this.#ended
  }

  /** Lost, and not yet reported because no event came after. */
  get unreported(): Loss {
    return { count: this.#uncounted ? Infinity : this.#lost, atLeast: this.#lost }
  }

  /** @returns how many events are dropped by this: 0 as a rule. After the end an event counts as never offered. */
  push(event: E, bytes: number): number {
    if (this.#ended) return 0
    if (this.#waiting.length > 0) {
      this.#handOver(event, this.#waiting.shift()!)
      return 0
    }
    let dropped = 0
    while (this.#size > 0 && (this.#size >= this.#maxQueued || this.#bytes + bytes > this.#maxBytes)) {
      if (this.#overflow !== 'drop-oldest') {
        this.#lost++
        this.#dropped++
        this.#onDrop?.(event)
        if (this.#overflow === 'disconnect') this.#disconnect()
        return 1
      }
      this.#dropOldest()
      dropped++
    }
    this.#append(event, bytes)
    this.#onReady?.()
    return dropped
  }

  /**
   * Losses the switchboard tells of: they lie between what was pushed so far and what comes next.
   * @param atLeast what is certain when `count` is Infinity
   */
  noteMissed(count: number, atLeast: number = Number.isFinite(count) ? count : 0): void {
    if (this.#ended) return
    this.#lost += atLeast
    if (!Number.isFinite(count)) this.#uncounted = true
  }

  /** The oldest event, or undefined when none is queued. */
  shift(): Out | undefined {
    if (this.#size === 0) return undefined
    const slot = this.#slots[this.#first] as Slot<E>
    const { event, lost, uncounted } = slot
    this.#removeFirst(slot)
    return this.#deliver(event as E, uncounted ? Infinity : lost, lost)
  }

  /**
   * The next event; undefined at the end. Calls that wait are answered in their order.
   * @throws what `fail` was given, once, after the events that were queued before it
   */
  next(): Promise<Out | undefined> {
    if (this.#size > 0) return new Promise(this.#take)
    if (!this.#ended) return new Promise(this.#wait)
    const error = this.#error
    this.#error = undefined
    return error === undefined ? Promise.resolve(undefined) : Promise.reject(error.thrown)
  }

  /**
   * For a consumer that calls `shift` instead of waiting for `next`.
   * @param onReady called for each event that is queued, and at the end
   */
  listen(onReady: () => void): void {
    this.#onReady = onReady
  }

  /** No more events: the queued ones are still delivered, then the end. */
  close(): void {
    if (this.#ended) return
    this.#ended = true
    this.#settleWaiting()
    this.#onReady?.()
  }

  /** Drops the oldest event, as at the bound: somebody above needs the room. */
  drop(): void {
    if (this.#size > 0) this.#dropOldest()
  }

  /** As `close`, but with an error before the end. */
  fail(thrown: unknown): void {
    if (this.#ended) return
    this.#error = { thrown }
    this.close()
  }

  /** The consumer leaves: what is queued is let go, every `next()` ends, an error that was due is dropped with it. */
  return(): void {
    this.#ended = true
    this.#error = undefined
    this.#slots = []
    this.#first = this.#size = this.#bytes = 0
    this.#settleWaiting()
    this.#onReady?.()
  }

  #handOver(event: E, [resolve, reject]: Settle<Out>): void {
    const lost = this.#lost
    const missed = this.#uncounted ? Infinity : lost
    this.#lost = 0
    this.#uncounted = false
    try {
      resolve(this.#deliver(event, missed, lost))
    } catch (error) {
      reject(error)
    }
  }

  #append(event: E, bytes: number): void {
    if (this.#size === this.#slots.length) this.#grow()
    const slot = this.#slots[(this.#first + this.#size) % this.#slots.length] as Slot<E>
    slot.event = event
    slot.bytes = bytes
    slot.lost = this.#lost
    slot.uncounted = this.#uncounted
    this.#lost = 0
    this.#uncounted = false
    this.#size++
    this.#bytes += bytes
  }

  /** The loss, and those before it, now lie before the event that follows, or before the next to come. */
  #dropOldest(): void {
    const slot = this.#slots[this.#first] as Slot<E>
    const { event, lost, uncounted } = slot
    this.#removeFirst(slot)
    this.#dropped++
    this.#onDrop?.(event as E)
    const follower = this.#size > 0 ? this.#slots[this.#first] : undefined
    if (follower === undefined) {
      this.#lost += lost + 1
      this.#uncounted ||= uncounted
    } else {
      follower.lost += lost + 1
      follower.uncounted ||= uncounted
    }
  }

  #removeFirst(slot: Slot<E>): void {
    slot.event = undefined
    this.#first = (this.#first + 1) % this.#slots.length
    this.#size--
    this.#bytes -= slot.bytes
  }

  #disconnect(): void {
    const held = `${this.#size} events of ${this.#bytes} bytes`
    const cure = "read faster, raise maxQueued, or choose overflow: 'drop-oldest'"
    this.fail(new ConclaveError('OVERLOADED', `The subscription ended since ${held} waited to be read: ${cure}.`))
  }

  #settleWaiting(): void {
    for (const [resolve, reject] of this.#waiting.splice(0)) {
      const error = this.#error
      this.#error = undefined
      if (error === undefined) resolve(undefined)
      else reject(error.thrown)
    }
  }

  #grow(): void {
    const slots: Slot<E>[] = []
    for (let i = 0; i < this.#size; i++) slots.push(this.#slots[(this.#first + i) % this.#slots.length] as Slot<E>)
    const length = Math.min(this.#maxQueued, Math.max(SMALLEST, this.#size * 2))
    while (slots.length < length) slots.push({ event: undefined, bytes: 0, lost: 0, uncounted: false })
    this.#slots = slots
    this.#first = 0
  }
}
