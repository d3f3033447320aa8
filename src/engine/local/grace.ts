/** The first moments of a term, in which the members of the last one are waited for (rule B14). */
export class Grace {
  readonly #now: () => number
  readonly #onOver: () => void
  #until = 0
  #timer: NodeJS.Timeout | undefined

  constructor(now: () => number, onOver: () => void) {
    this.#now = now
    this.#onOver = onOver
  }

  /** From now on; what is left of an earlier one does not count. */
  begin(ms: number): void {
    clearTimeout(this.#timer)
    this.#until = this.#now() + ms
    this.#timer = setTimeout(() => this.end(), ms).unref()
  }

  get lasts(): boolean {
    return this.#timer !== undefined && this.#now() < this.#until
  }

  end(): void {
    this.stop()
    this.#onOver()
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
