import type { Engine } from '../engine/engine.ts'
import type { ActiveSubscription } from '../events/subscriber.ts'
import type { Event, SubscribeOptions, Subscription } from '../events/types.ts'
import { Listening, type ListenerTurns } from './listening.ts'

/** A subscription as its consumer holds it. */
export class EventSubscription implements Subscription<Event> {
  readonly ready: Promise<number>
  readonly #engine: Engine
  readonly #active: ActiveSubscription<Event>
  readonly #signal: AbortSignal | undefined

  constructor(engine: Engine, pattern: string, options: SubscribeOptions) {
    const { from = 'now', maxQueued, overflow, signal } = options
    this.#engine = engine
    this.#signal = signal
    this.#active = engine.subscribe({ pattern, from, maxQueued, overflow }, toEvent)
    this.ready = this.#active.ready
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (signal?.aborted === true) this.#onAbort()
  }

  next(): Promise<IteratorResult<Event, undefined>> {
    const { queue } = this.#active
    const value = queue.shift()
    return value === undefined ? queue.next().then(this.#result) : Promise.resolve({ done: false, value })
  }

  /**
   * Gives each event to a listener, instead of `next`.
   * @returns settles at the end, with what ended it when that was an error
   */
  listen(listener: (event: Event) => unknown, turns: ListenerTurns): Promise<unknown> {
    const { queue } = this.#active
    return new Promise((resolve) => new Listening(queue, listener, turns, () => resolve(this.next())))
  }

  async return(): Promise<IteratorResult<Event, undefined>> {
    this.#active.queue.return()
    this.#leave()
    return { done: true, value: undefined }
  }

  async close(): Promise<void> {
    this.#active.queue.close()
    this.#leave()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  readonly #result = (value: Event | undefined): IteratorResult<Event, undefined> => {
    if (value !== undefined) return { done: false, value }
    this.#signal?.removeEventListener('abort', this.#onAbort)
    return { done: true, value }
  }

  readonly #onAbort = (): void => {
    this.#active.queue.close()
    this.#leave()
  }

  #leave(): void {
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#engine.unsubscribe(this.#active as ActiveSubscription<unknown>)
  }
}

/** Most events follow the one before: they are what arrived. */
function toEvent(event: Event, missed: number, missedAtLeast: number): Event {
  return missed === 0 ? event : { ...event, missed, missedAtLeast, exact: missed !== Infinity }
}
