/** Event ids seen lately. Time comes from outside. */
export class Dedup {
  readonly #ttlMs: number
  readonly #max: number
  /** When each was first seen; a Map keeps that order. */
  readonly #seen = new Map<string, number>()

  constructor(ttlMs: number, max: number) {
    this.#ttlMs = ttlMs
    this.#max = max
  }

  get size(): number {
    return this.#seen.size
  }

  /** @returns whether the id is new; from now on it is known */
  add(id: string, nowMs: number): boolean {
    const seenMs = this.#seen.get(id)
    if (seenMs !== undefined && nowMs - seenMs < this.#ttlMs) return false
    this.#seen.delete(id)
    this.#seen.set(id, nowMs)
    this.#forget(nowMs)
    return true
  }

  #forget(nowMs: number): void {
    for (const [id, seenMs] of this.#seen) {
      if (this.#seen.size <= this.#max && nowMs - seenMs < this.#ttlMs) return
      this.#seen.delete(id)
    }
  }
}
