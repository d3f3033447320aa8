import { ConclaveError } from '../errors/index.ts'

/** Longest timer of Node: 2^31 - 1 ms. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** Until when, and what ends it before: nothing was sent yet when either does. */
export interface Until {
  /** CLOCK_MONOTONIC, milliseconds. */
  readonly deadline: number
  readonly signal?: AbortSignal | undefined
}

/** @throws `ABORTED`, `TIMEOUT`, both `not-committed`: `work` goes on, and nobody waits for it */
export async function until<T>(work: Promise<T>, what: string, { deadline, signal }: Until, now: number): Promise<T> {
  refuseOver(what, { deadline, signal }, now)
  let timer: NodeJS.Timeout | undefined
  let onAbort: (() => void) | undefined
  const over = new Promise<never>((_resolve, reject) => {
    // What had arrived by then is read first (rule B1).
    const due = (): unknown => setImmediate(() => setImmediate(() => reject(late(what))))
    if (deadline !== Infinity) timer = setTimeout(due, Math.min(deadline - now, MAX_TIMER_MS))
    onAbort = () => reject(aborted(what, signal?.reason))
    signal?.addEventListener('abort', onAbort, { once: true })
  })
  try {
    return await Promise.race([work, over])
  } finally {
    clearTimeout(timer)
    if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort)
  }
}

/** @throws `ABORTED`, `TIMEOUT` */
export function refuseOver(what: string, { deadline, signal }: Until, now: number): void {
  if (signal?.aborted === true) throw aborted(what, signal.reason)
  if (!(deadline > now)) throw late(what)
}

function late(what: string): ConclaveError {
  return new ConclaveError('TIMEOUT', `${what} was not sent before its deadline.`, { outcome: 'not-committed' })
}

function aborted(what: string, cause: unknown): ConclaveError {
  return new ConclaveError('ABORTED', `${what} was aborted before it was sent.`, { cause, outcome: 'not-committed' })
}
