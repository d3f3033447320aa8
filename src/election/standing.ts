import { STAND_AGAIN_FIRST_MS, STAND_AGAIN_LAST_MS } from './limits.ts'
import { BackOff } from './wait.ts'

/**
 * How long a candidate that failed between lock and serving waits before it stands again: 0.1 s doubling to 5 s (A7).
 * `reset()` it when the member serves or found a primary.
 */
export function standAgain(): BackOff {
  return new BackOff(STAND_AGAIN_FIRST_MS, STAND_AGAIN_LAST_MS)
}

/** What a candidate took, undone in reverse order: all of it, even when a part fails. */
export class Undo {
  readonly #steps: (() => void)[] = []

  add(step: () => void): void {
    this.#steps.push(step)
  }

  /** The seat serves: nothing is to be undone. */
  keep(): void {
    this.#steps.length = 0
  }

  /** Idempotent. @returns what the steps threw, in the order they ran */
  run(): readonly unknown[] {
    const errors: unknown[] = []
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        step()
      } catch (error) {
        errors.push(error)
      }
    }
    return errors
  }
}
