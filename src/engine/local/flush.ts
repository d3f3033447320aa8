interface Flushable {
  flush(): void
}

/**
 * One write a turn and link. A flush runs when the microtasks of the turn are done: handlers that settle as promises
 * have answered by then, so their answers share the write (rule F9).
 */
export class FlushScheduler {
  #dirty: Flushable[] = []
  #scheduled = false
  #afterwards: (() => void)[] = []

  readonly add = (channel: Flushable): void => {
    this.#dirty.push(channel)
    this.#schedule()
  }

  /** Runs once what was sent up to now is with the kernel, as far as the kernel takes it (rule B12). */
  afterFlush(callback: () => void): void {
    this.#afterwards.push(callback)
    this.#schedule()
  }

  /** At once: before the process exits, or the link closes. */
  flush(): void {
    try {
      while (this.#dirty.length > 0) {
        const dirty = this.#dirty
        this.#dirty = []
        for (const channel of dirty) channel.flush()
      }
    } finally {
      this.#scheduled = false
    }
    if (this.#afterwards.length === 0) return
    const afterwards = this.#afterwards
    this.#afterwards = []
    for (const callback of afterwards) callback()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    queueMicrotask(this.#lateInTurn)
  }

  /** A tick queued by a microtask runs when the microtasks that are due by now have run. */
  readonly #lateInTurn = (): void => {
    process.nextTick(this.#run)
  }

  readonly #run = (): void => {
    if (this.#scheduled) this.flush()
  }
}
