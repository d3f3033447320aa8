/** What can lie in a `Bag`; in one at a time. */
export interface Placed {
  /** The bag's own. */
  place: number
}

/** Things in no order that come and go at no cost: each knows its place, and the last one fills a place that gets free. */
export class Bag<T extends Placed> {
  readonly #items: T[] = []

  get size(): number {
    return this.#items.length
  }

  has(item: T): boolean {
    return this.#items[item.place] === item
  }

  add(item: T): void {
    if (!this.has(item)) item.place = this.#items.push(item) - 1
  }

  delete(item: T): boolean {
    if (!this.has(item)) return false
    const last = this.#items.pop()!
    if (last === item) return true
    this.#items[item.place] = last
    last.place = item.place
    return true
  }

  /** As they are now. */
  values(): T[] {
    return [...this.#items]
  }
}
