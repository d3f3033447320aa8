import { ConclaveError } from '../../errors/index.ts'
import { sleep } from '../../election/wait.ts'

export function aborted(signal: AbortSignal): ConclaveError {
  return new ConclaveError('ABORTED', 'The wait was aborted by its signal.', { cause: signal.reason })
}

/** @throws `ABORTED` */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) throw aborted(signal)
}

/** @throws `ABORTED` as soon as the signal does */
export async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  throwIfAborted(signal)
  await sleep(ms, { signal })
  throwIfAborted(signal)
}

/** A promise with its two ends. Nobody is told when it rejects and nobody waits. */
export class Later<T> {
  readonly promise: Promise<T>
  resolve!: (value: T) => void
  reject!: (error: Error) => void

  constructor() {
    this.promise = new Promise<T>((resolve, reject) => {
      this.resolve = resolve
      this.reject = reject
    })
    this.promise.catch(() => {})
  }
}

export interface WaitLimits {
  readonly signal?: AbortSignal | undefined
  readonly timeoutMs?: number | undefined
  /** Completes "nothing came within ... ms: ". */
  readonly what: string
}

/** `promise`, unless the signal or the time comes first. The promise goes on. @throws `ABORTED`, `TIMEOUT` */
export async function within<T>(promise: Promise<T>, { signal, timeoutMs, what }: WaitLimits): Promise<T> {
  throwIfAborted(signal)
  const late = new Later<never>()
  const onAbort = (): void => late.reject(aborted(signal as AbortSignal))
  signal?.addEventListener('abort', onAbort)
  const limited = timeoutMs !== undefined && Number.isFinite(timeoutMs)
  const timer = limited
    ? setTimeout(() => {
        // A turn later: what came while this process was busy is read before the timer counts (rule B1).
        const error = new ConclaveError('TIMEOUT', `${what} did not come within ${timeoutMs} ms.`)
        setImmediate(() => late.reject(error))
      }, timeoutMs)
    : undefined
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}
