import type { Engine } from '../engine/engine.ts'
import type { ActiveSubscription, ReceivedEvent } from '../events/subscriber.ts'
import type { Event, SubscribeOptions, Subscription } from '../events/types.ts'

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

  async next(): Promise<IteratorResult<Event, undefined>> {
    const value = await this.#active.queue.next()
    if (value !== undefined) return { done: false, value }
    this.#signal?.removeEventListener('abort', this.#onAbort)
    return { done: true, value }
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

  readonly #onAbort = (): void => {
    this.#active.queue.close()
    this.#leave()
  }

  #leave(): void {
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#engine.unsubscribe(this.#active as ActiveSubscription<unknown>)
  }
}

function toEvent(event: ReceivedEvent, missed: number, missedAtLeast: number): Event {
  const { topic, data, seq, term, publisher, time, sensitive } = event
  return { topic, data, seq, term, publisher, time, sensitive, missed, missedAtLeast, exact: missed !== Infinity }
}
