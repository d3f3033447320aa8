import { ConclaveError } from '../../errors/index.ts'
import {
  BACKOFF_MS,
  IDLE_MS,
  JOIN_EVERY_MS,
  JOIN_FIRST_MS,
  MAX_BACKOFF,
  MAX_JOINS,
  PART_STEP_MS,
  PART_WAIT_MS,
  SERVE_MS,
  SILENCE_MS,
  START_DELAY_MS,
} from './limits.ts'

/** The times of admission, in milliseconds but for the two counts. Defaults: those of existing nodes. */
export interface Times {
  readonly startDelayMs: number
  readonly joinFirstMs: number
  readonly joinEveryMs: number
  readonly maxJoins: number
  readonly idleMs: number
  readonly silenceMs: number
  readonly backoffMs: number
  readonly maxBackoff: number
  readonly partWaitMs: number
  readonly partStepMs: number
  readonly serveMs: number
}

export const DEFAULT_TIMES: Times = {
  startDelayMs: START_DELAY_MS,
  joinFirstMs: JOIN_FIRST_MS,
  joinEveryMs: JOIN_EVERY_MS,
  maxJoins: MAX_JOINS,
  idleMs: IDLE_MS,
  silenceMs: SILENCE_MS,
  backoffMs: BACKOFF_MS,
  maxBackoff: MAX_BACKOFF,
  partWaitMs: PART_WAIT_MS,
  partStepMs: PART_STEP_MS,
  serveMs: SERVE_MS,
}

/** @throws `INVALID_OPTION` */
export function timesOf(options: Partial<Times> = {}): Times {
  const times = { ...DEFAULT_TIMES }
  for (const name of Object.keys(DEFAULT_TIMES) as (keyof Times)[]) {
    const value = options[name]
    if (value === undefined) continue
    if (!Number.isFinite(value) || value < 0) {
      throw new ConclaveError('INVALID_OPTION', `times.${name} is a number of at least 0, not ${String(value)}.`)
    }
    times[name] = value
  }
  return times
}
