import { STALL_MS } from './limits.ts'

export interface Watched {
  /** Bytes that the kernel took so far. */
  readonly taken: () => number
  /** Bytes that wait. */
  readonly waiting: () => number
  readonly onStalled: () => void
}

/**
 * Tells a link whose peer does not read from one that was given much in one turn: answers to a thousand calls may come at
 * once. Counted is what our own loop saw the kernel take, since a loop that was held up could write nothing (rule B1).
 */
export class StallWatch {
  readonly #watched: Watched
  #timer: NodeJS.Timeout | undefined
  #most = 0
  #taken = 0

  constructor(watched: Watched) {
    this.#watched = watched
  }

  /** More waits than `most`: some of it has to go from now on, until no more does. */
  begin(most: number): void {
    if (this.#timer !== undefined) return
    this.#most = most
    this.#taken = this.#watched.taken()
    this.#timer = setTimeout(this.#look, STALL_MS).unref()
  }

  end(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  readonly #look = (): void => {
    setImmediate(() => {
      if (this.#timer === undefined) return
      this.#timer = undefined
      if (this.#watched.waiting() <= this.#most) return
      if (this.#watched.taken() === this.#taken) this.#watched.onStalled()
      else this.begin(this.#most)
    })
  }
}
