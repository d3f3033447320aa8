const SMALLEST = 16

/**
 * What was sent and is not acknowledged, by its number. Numbers rise by one and are taken nearly in order, so a ring of
 * slots does, where a map would grow and be rehashed.
 */
export class Unacknowledged<T extends { readonly number: number }> {
  #slots: (T | undefined)[] = new Array<T | undefined>(SMALLEST).fill(undefined)
  /** All numbers from here on, to the last one added, have a slot. */
  #first = 0
  #next = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** @param entry its number is the one after that of the entry added last */
  add(entry: T): void {
    if (this.#size === 0) this.#first = entry.number
    else if (entry.number - this.#first >= this.#slots.length) this.#grow()
    this.#next = entry.number + 1
    this.#slots[entry.number & (this.#slots.length - 1)] = entry
    this.#size++
  }

  /** @returns the entry, which is gone with this; undefined when there is none of this number */
  take(number: number): T | undefined {
    if (number < this.#first || number >= this.#next) return undefined
    const at = number & (this.#slots.length - 1)
    const entry = this.#slots[at]
    if (entry === undefined) return undefined
    this.#slots[at] = undefined
    this.#size--
    while (this.#first < this.#next && this.#slots[this.#first & (this.#slots.length - 1)] === undefined) this.#first++
    return entry
  }

  /** Those that are there now, in the order of their numbers. */
  all(): T[] {
    const entries: T[] = []
    for (let number = this.#first; number < this.#next; number++) {
      const entry = this.#slots[number & (this.#slots.length - 1)]
      if (entry !== undefined) entries.push(entry)
    }
    return entries
  }

  #grow(): void {
    const entries = this.all()
    this.#slots = new Array<T | undefined>(this.#slots.length * 2).fill(undefined)
    for (const entry of entries) this.#slots[entry.number & (this.#slots.length - 1)] = entry
  }
}
