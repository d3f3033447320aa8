import { busyPause } from './busy.ts'
import { BUSY_REPORT_MS } from './limits.ts'

export interface BusyPauseOptions {
  readonly now: () => number
  /** It is time to try again. */
  readonly onOver: () => void
  /** Once for each time that the file is locked for long. */
  readonly onLong: (forMs: number) => void
}

/** The pauses while another program holds the file: longer and longer, and never on the loop's time (rule A11). */
export class BusyPause {
  readonly #options: BusyPauseOptions
  #timer: NodeJS.Timeout | undefined
  #since: number | undefined
  #attempts = 0
  #reported = false

  constructor(options: BusyPauseOptions) {
    this.#options = options
  }

  get active(): boolean {
    return this.#timer !== undefined
  }

  begin(): void {
    const { now, onOver, onLong } = this.#options
    this.#since ??= now()
    const forMs = now() - this.#since
    if (forMs >= BUSY_REPORT_MS && !this.#reported) {
      this.#reported = true
      onLong(forMs)
    }
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined
      onOver()
    }, busyPause(this.#attempts++))
  }

  /** The file was free. */
  reset(): void {
    this.#since = undefined
    this.#attempts = 0
    this.#reported = false
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
