import { Frame, KIND } from '../../wire/frame.ts'
import { UNRESPONSIVE_MS } from './limits.ts'
import type { Link } from './link.ts'

const TICK_MS = 1000
/** Silent ticks before we ask whether anybody is there. */
const ASK_AFTER_TICKS = 2

export interface LivenessOptions {
  readonly link: Link
  /** Whether an answer is due at all. */
  readonly outstanding: () => boolean
  readonly onChange: (responsive: boolean) => void
  readonly unresponsiveMs?: number | undefined
}

/**
 * Tells a primary that is stopped or busy from one that is gone: it keeps its lock, so nobody takes over, but callers
 * should know (rule B2). Counted are ticks of our own loop that ran without a byte arriving, not the time that passed: a
 * loop that was blocked has not looked (rule B1).
 */
export class Liveness {
  readonly #options: LivenessOptions
  /** Runs while something is outstanding or the primary is silent: an idle member is not woken. */
  #timer: NodeJS.Timeout | undefined
  readonly #silentTicks: number
  #activity: number
  #quietTicks = 0
  #responsive = true
  /** Something was asked for since the last byte; who asked may have given up meanwhile. */
  #asked = false

  constructor(options: LivenessOptions) {
    this.#options = options
    this.#activity = options.link.activity
    this.#silentTicks = Math.max(ASK_AFTER_TICKS, Math.ceil((options.unresponsiveMs ?? UNRESPONSIVE_MS) / TICK_MS))
    this.#watch()
    options.link.onSend = () => {
      this.#asked ||= options.outstanding()
      if (this.#timer === undefined) this.#watch()
    }
  }

  /** Whether the primary has been silent for too long, a byte that arrived since the last tick included. */
  get silent(): boolean {
    if (this.#options.link.activity !== this.#activity) this.#heard()
    return !this.#responsive
  }

  close(): void {
    this.#options.link.onSend = () => {}
    this.#rest()
  }

  #watch(): void {
    this.#activity = this.#options.link.activity
    this.#timer = setInterval(() => this.#tick(), TICK_MS)
    this.#timer.unref()
  }

  #rest(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #tick(): void {
    const { link, outstanding } = this.#options
    const heard = link.activity !== this.#activity
    if (heard) this.#heard()
    if (!outstanding() && !this.#asked) {
      // It owes nothing; whom we found silent is silent until we hear it.
      this.#quietTicks = 0
      if (this.#responsive) this.#rest()
      return
    }
    if (heard) return
    this.#quietTicks++
    if (this.#quietTicks >= Math.min(ASK_AFTER_TICKS, this.#silentTicks - 1) && link.bufferedBytes === 0) {
      link.send(new Frame().set(KIND.PING, 0, 0, 0, 0, this.#quietTicks, 0))
    }
    if (this.#quietTicks >= this.#silentTicks && this.#responsive) {
      this.#responsive = false
      this.#options.onChange(false)
    }
  }

  #heard(): void {
    this.#activity = this.#options.link.activity
    this.#quietTicks = 0
    this.#asked = false
    if (this.#responsive) return
    this.#responsive = true
    this.#options.onChange(true)
  }
}
