import type { SubscriptionQueue } from '../events/queue.ts'
import type { Event } from '../events/types.ts'
import { isPromise } from './handlers.ts'

interface Turn {
  take(): void
}

/**
 * The order in which a member's listeners get their events: that in which the events came, over all its subscriptions.
 * One microtask serves everything that a turn brought, since no user code may run while frames are read.
 */
export class ListenerTurns {
  #due: Turn[] = []
  readonly #run = (): void => {
    const due = this.#due
    this.#due = []
    for (const turn of due) turn.take()
  }

  add(turn: Turn): void {
    if (this.#due.push(turn) === 1) queueMicrotask(this.#run)
  }
}

/** A listener on its queue: one event at a time, the next one when the promise that it returned has settled. */
export class Listening implements Turn {
  readonly #queue: SubscriptionQueue<Event, Event>
  readonly #listener: (event: Event) => unknown
  readonly #onEnd: () => void
  #busy = false
  #over = false

  /** @param onEnd nothing comes any more; called once */
  constructor(
    queue: SubscriptionQueue<Event, Event>,
    listener: (event: Event) => unknown,
    turns: ListenerTurns,
    onEnd: () => void,
  ) {
    this.#queue = queue
    this.#listener = listener
    this.#onEnd = onEnd
    queue.listen(() => turns.add(this))
    // What came before there was a listener: a primary replays to its own member at once.
    for (let n = queue.size; n > 0; n--) turns.add(this)
    if (queue.ended) turns.add(this)
  }

  take(): void {
    if (this.#busy) return
    if (this.#queue.size > 0) this.#give()
    else if (this.#queue.ended && !this.#over) {
      this.#over = true
      this.#onEnd()
    }
  }

  #give(): void {
    try {
      const result = this.#listener(this.#queue.shift()!)
      if (!isPromise(result)) return
      this.#busy = true
      Promise.resolve(result).then(this.#goOn, this.#failed)
    } catch (error) {
      throwUncaught(error)
    }
  }

  readonly #goOn = (): void => {
    this.#busy = false
    while (this.#queue.size > 0 && !this.#busy) this.#give()
    this.take()
  }

  readonly #failed = (error: unknown): void => {
    throwUncaught(error)
    this.#goOn()
  }
}

/** Thrown where nobody can catch it: an uncaught exception, as with EventTarget. */
export function throwUncaught(error: unknown): void {
  process.nextTick(() => {
    throw error
  })
}
