import type { Engine, EngineStatus } from '../engine/engine.ts'
import { MAX_QUEUED_STATUSES } from './limits.ts'

/** What happens to a member, beginning with what is; ends after `closed`. */
export class StatusFeed implements AsyncIterableIterator<EngineStatus, undefined> {
  readonly #queue: EngineStatus[]
  readonly #waiting: ((step: IteratorResult<EngineStatus, undefined>) => void)[] = []
  readonly #stop: () => void
  #ended = false

  constructor(engine: Engine) {
    const { role, term, primary } = engine
    this.#queue = [{ type: 'role', role, term }]
    if (primary !== undefined) this.#queue.push({ type: 'primary-found', primary, term, afterMs: 0 })
    this.#stop = engine.onStatus((status) => this.#push(status))
    void engine.closed.then((reason) => {
      if (!this.#ended) this.#push({ type: 'closed', reason })
    })
  }

  next(): Promise<IteratorResult<EngineStatus, undefined>> {
    const value = this.#queue.shift()
    if (value !== undefined) return Promise.resolve({ done: false, value })
    if (this.#ended) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  return(): Promise<IteratorResult<EngineStatus, undefined>> {
    this.#queue.length = 0
    this.#end()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #push(status: EngineStatus): void {
    if (this.#ended) return
    const reader = this.#waiting.shift()
    if (reader !== undefined) reader({ done: false, value: status })
    else {
      if (this.#queue.length >= MAX_QUEUED_STATUSES) this.#queue.shift()
      this.#queue.push(status)
    }
    if (status.type === 'closed') this.#end()
  }

  #end(): void {
    this.#ended = true
    this.#stop()
    for (const resolve of this.#waiting.splice(0)) resolve({ done: true, value: undefined })
  }
}
