import type { Welcome } from '../../wire/handshake.ts'
import type { MemberRef, Role } from '../../wire/peers.ts'
import type { EngineStatus, LossCause } from '../engine.ts'

/** Whoever listens to what happens to a member. */
export class StatusBoard {
  readonly #listeners = new Set<(status: EngineStatus) => void>()
  #lostAt = 0

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

  /** There is a primary; how long there was none is told with it. */
  found(role: Role, primary: MemberRef, term: number, now: number): void {
    this.tell({ type: 'role', role, term })
    this.tell({ type: 'primary-found', primary, term, afterMs: this.#lostAt === 0 ? 0 : now - this.#lostAt })
  }

  lost(term: number, cause: LossCause, now: number): void {
    this.#lostAt = now
    this.tell({ type: 'primary-lost', term, cause })
  }

  /** The primary went silent, or is heard again; the link is there all the time. */
  responsive({ primary, term }: Pick<Welcome, 'primary' | 'term'>, responsive: boolean): void {
    if (responsive) this.tell({ type: 'primary-found', primary, term, afterMs: 0 })
    else this.tell({ type: 'primary-lost', term, cause: 'unresponsive' })
  }

  close(): void {
    this.#listeners.clear()
  }
}
