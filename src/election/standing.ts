import { STAND_AGAIN_FIRST_MS, STAND_AGAIN_LAST_MS } from './limits.ts'
import { BackOff } from './wait.ts'

/**
 * How long a candidate that failed between lock and serving waits before it stands again: 0.1 s doubling to 5 s (A7).
 * `reset()` it when the member serves or found a primary.
 */
export function standAgain(): BackOff {
  return new BackOff(STAND_AGAIN_FIRST_MS, STAND_AGAIN_LAST_MS)
}
