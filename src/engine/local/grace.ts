/** Times that our own timer must have come: a process that stood still has read nothing meanwhile (rule B1). */
const TICKS = 10

/** The first moments of a term, in which the members of the last one are waited for (rule B14). */
export class Grace {
  readonly #onOver: () => void
  #timer: NodeJS.Timeout | undefined

  constructor(onOver: () => void) {
    this.#onOver = onOver
  }

  /** From now on, for at least `ms`; what is left of an earlier one does not count. 0: none. */
  begin(ms: number): void {
    this.stop()
    let left = Math.min(TICKS, Math.ceil(ms))
    if (left === 0) return
    const tick = (): void => {
      if (--left === 0) this.end()
    }
    this.#timer = setInterval(tick, ms / left).unref()
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
