import { setImmediate as turn } from 'node:timers/promises'
import { monotonicMs } from '../platform/clock.ts'
import { MAX_TIMER_MS } from './limits.ts'

export interface SleepOptions {
  /** Ends the sleep early. */
  readonly signal?: AbortSignal | undefined
  /** False: the sleep does not keep the process alive. Default true. */
  readonly ref?: boolean | undefined
}

/** Below this, timers of whole milliseconds are too coarse; turns of the event loop are counted out instead. */
const FINE_BELOW_MS = 2

/** Resolves after `ms`, or when the signal aborts; never rejects. Infinity sleeps until the signal. */
export async function sleep(ms: number, options: SleepOptions = {}): Promise<void> {
  const { signal, ref = true } = options
  if (ms < FINE_BELOW_MS) {
    const end = monotonicMs() + ms
    do await turn(undefined, { ref })
    while (signal?.aborted !== true && monotonicMs() < end)
    return
  }
  const end = monotonicMs() + ms
  for (let left = ms; left > 0 && signal?.aborted !== true; left = end - monotonicMs()) {
    await timer(Math.min(Math.ceil(left), MAX_TIMER_MS), signal, ref)
  }
}

function timer(ms: number, signal: AbortSignal | undefined, ref: boolean): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timeout)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timeout = setTimeout(done, ms)
    if (!ref) timeout.unref()
    signal?.addEventListener('abort', done)
  })
}

/** One whole turn of the event loop: whatever had arrived has been read when it resolves (rule B1). */
export async function oneTurn(ref = true): Promise<void> {
  await turn(undefined, { ref })
  await turn(undefined, { ref })
}

/** Times that double from first to last, in milliseconds. */
export class BackOff {
  readonly #firstMs: number
  readonly #lastMs: number
  #nextMs: number

  constructor(firstMs: number, lastMs: number) {
    this.#firstMs = firstMs
    this.#lastMs = lastMs
    this.#nextMs = firstMs
  }

  /** How long to wait this time. */
  next(): number {
    const ms = this.#nextMs
    this.#nextMs = Math.min(ms * 2, this.#lastMs)
    return ms
  }

  reset(): void {
    this.#nextMs = this.#firstMs
  }
}
