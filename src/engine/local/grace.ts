/** So many steps make up the time. */
const STEPS = 10

/**
 * The first moments of a term, in which the members of the last one are waited for (rule B14). Counted are steps of our
 * own loop, not the time that passed: one that was held up has let nobody in (rule B1).
 */
export class Grace {
  readonly #onOver: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(onOver: () => void) {
    this.#onOver = onOver
  }

  /** From now on; what is left of an earlier one does not count. */
  begin(ms: number): void {
    clearInterval(this.#timer)
    let steps = 0
    this.#timer = setInterval(() => {
      if (++steps === STEPS) this.end()
    }, ms / STEPS).unref()
  }

  get lasts(): boolean {
    return this.#timer !== undefined
  }

  end(): void {
    this.stop()
    this.#onOver()
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }
}
