import { MAX_TIMER_MS } from '../../election/limits.ts'
import { ConclaveError } from '../../errors/index.ts'

export interface WaitOptions {
  /** In milliseconds. Default: for ever. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

interface Waiter {
  readonly fits: () => boolean
  readonly settle: (error?: Error) => void
}

/** Those who wait for peers. */
export class Waiters {
  readonly #active: () => ReadonlyMap<string, unknown>
  readonly #waiters = new Set<Waiter>()

  constructor(active: () => ReadonlyMap<string, unknown>) {
    this.#active = active
  }

  wait(who: string | readonly string[] | number, { timeoutMs, signal }: WaitOptions): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(aborted(signal))
    const fits = this.#condition(who)
    if (fits()) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const settle = (error?: Error): void => {
        this.#waiters.delete(waiter)
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        if (error === undefined) resolve()
        else reject(error)
      }
      const onAbort = (): void => settle(aborted(signal as AbortSignal))
      const waiter: Waiter = { fits, settle }
      const timer =
        timeoutMs === undefined || timeoutMs > MAX_TIMER_MS
          ? undefined
          : setTimeout(() => setImmediate(() => settle(late(who, timeoutMs))), timeoutMs)
      signal?.addEventListener('abort', onAbort)
      this.#waiters.add(waiter)
    })
  }

  check(): void {
    for (const waiter of [...this.#waiters]) if (waiter.fits()) waiter.settle()
  }

  close(): void {
    for (const waiter of [...this.#waiters]) waiter.settle(new ConclaveError('CLOSED', 'The node was closed.'))
  }

  #condition(who: string | readonly string[] | number): () => boolean {
    if (typeof who === 'number') return () => this.#active().size >= who
    const names = typeof who === 'string' ? [who] : who
    return () => names.every((name) => this.#active().has(name))
  }
}

function aborted(signal: AbortSignal): ConclaveError {
  return new ConclaveError('ABORTED', 'The wait was aborted by its signal.', { cause: signal.reason })
}

function late(who: string | readonly string[] | number, timeoutMs: number): ConclaveError {
  const whom = typeof who === 'number' ? `${who} peers` : typeof who === 'string' ? who : who.join(', ')
  return new ConclaveError('TIMEOUT', `${whom} did not connect within ${timeoutMs} ms.`)
}
