import type { EngineStatus } from '../engine.ts'

/** Whoever listens to what happens to a member. */
export class StatusBoard {
  readonly #listeners = new Set<(status: EngineStatus) => void>()

  listen(listener: (status: EngineStatus) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  readonly tell = (status: EngineStatus): void => {
    for (const listener of [...this.#listeners]) {
      try {
        listener(status)
      } catch (error) {
        // Its fault is not the engine's, which is in the middle of a change.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  close(): void {
    this.#listeners.clear()
  }
}
