import { setTimeout as sleep } from 'node:timers/promises'
import { ConclaveError } from '../errors/index.ts'
import { BUSY_PAUSES_MS } from './limits.ts'
import { isBusy } from './sqlite-errors.ts'

/** The pause before attempt `attempt`, counted from 0. */
export function busyPause(attempt: number): number {
  return BUSY_PAUSES_MS[Math.min(attempt, BUSY_PAUSES_MS.length - 1)]!
}

export interface Patience {
  /** CLOCK_MONOTONIC, milliseconds. */
  readonly now: () => number
  readonly deadline: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Repeats what failed because another program holds the file, without blocking the loop (rule A11).
 * @throws `FAILED` at the deadline, `ABORTED`, and whatever else `call` throws
 */
export async function untilFree<T>(call: () => T, { now, deadline, signal }: Patience): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return call()
    } catch (error) {
      if (!isBusy(error)) throw error
      if (now() >= deadline) {
        const text = 'Another program keeps the database locked: end it, or let it use the file through this package.'
        throw new ConclaveError('FAILED', text, { cause: error, reason: 'SQLITE_BUSY', outcome: 'not-committed' })
      }
      if (signal?.aborted === true)
        throw new ConclaveError('ABORTED', 'Opening the database was aborted.', { cause: signal.reason })
    }
    await sleep(busyPause(attempt))
  }
}
