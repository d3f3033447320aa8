import { LEAST_PLACES, MOST_PLACES } from './limits.ts'

/**
 * What is under way, by a number that rises from one to the next. A number's place is its remainder in an array, so that
 * nothing is allocated for one that comes and goes. A Map that so much runs through builds a new table every few hundred
 * insertions; old tables that the collector has moved keep each other, and all that was ever in them, until its next full
 * pass: that took half the time of a caller.
 */
export class ByNumber<T extends { readonly number: number }> {
  #places: (T | undefined)[] = []
  /** Those whose place a later number took: few, that take long. */
  readonly #late = new Map<number, T>()
  #size = 0

  get size(): number {
    return this.#size
  }

  get(number: number): T | undefined {
    const found = this.#places[number & (this.#places.length - 1)]
    if (found !== undefined && found.number === number) return found
    return this.#late.size === 0 ? undefined : this.#late.get(number)
  }

  has(number: number): boolean {
    return this.get(number) !== undefined
  }

  /** One of the same number is replaced. */
  add(item: T): void {
    const { number } = item
    if (this.#late.has(number)) {
      this.#late.set(number, item)
      return
    }
    if (this.#places.length === 0) this.#grow(LEAST_PLACES)
    let there = this.#places[number & (this.#places.length - 1)]
    while (there !== undefined && there.number !== number) {
      const { length } = this.#places
      if (this.#size * 2 < length || length >= MOST_PLACES) {
        this.#late.set(there.number, there)
        break
      }
      this.#grow(length * 2)
      there = this.#places[number & (this.#places.length - 1)]
    }
    if (there?.number !== number) this.#size++
    this.#places[number & (this.#places.length - 1)] = item
  }

  delete(number: number): boolean {
    const place = number & (this.#places.length - 1)
    if (this.#places[place]?.number === number) this.#places[place] = undefined
    else if (this.#late.size === 0 || !this.#late.delete(number)) return false
    this.#size--
    return true
  }

  clear(): void {
    this.#places = []
    this.#late.clear()
    this.#size = 0
  }

  /** As they are now, in the order of their numbers. */
  values(): T[] {
    const all = [...this.#late.values()]
    for (const item of this.#places) if (item !== undefined) all.push(item)
    return all.sort((a, b) => a.number - b.number)
  }

  #grow(length: number): void {
    const items = this.#places
    this.#places = Array.from<T | undefined>({ length }).fill(undefined)
    for (const item of items) if (item !== undefined) this.#places[item.number & (length - 1)] = item
  }
}
