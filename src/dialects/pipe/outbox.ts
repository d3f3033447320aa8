export type Overflow = 'refuse' | 'drop-oldest'

export interface OutboxLimits {
  readonly size: number
  readonly bytes: number
  readonly overflow: Overflow
}

interface Item {
  readonly line: string
  readonly bytes: number
  /** It was written before, to a connection that broke. */
  repeat: boolean
}

/** Bytes of one write. */
const BATCH_BYTES = 64 * 1024

/**
 * Messages in order: first those on the way (written, not confirmed), then those that wait. One that is on the way is
 * never dropped: the receiver may have it.
 */
export class Outbox {
  readonly #limits: OutboxLimits
  #items: Item[] = []
  #head = 0
  #onTheWay = 0
  #bytes = 0
  #dropped = 0
  #repeated = 0

  constructor(limits: OutboxLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#items.length - this.#head
  }

  get onTheWay(): number {
    return this.#onTheWay
  }

  get waiting(): number {
    return this.size - this.#onTheWay
  }

  get dropped(): number {
    return this.#dropped
  }

  get repeated(): number {
    return this.#repeated
  }

  fits(bytes: number): boolean {
    return this.size < this.#limits.size && (this.#bytes + bytes <= this.#limits.bytes || this.size === 0)
  }

  /** @returns false: refused, and counted */
  add(line: string, bytes: number): boolean {
    while (!this.fits(bytes)) {
      this.#dropped++
      if (this.#limits.overflow === 'refuse' || this.waiting === 0) return false
      const [oldest] = this.#items.splice(this.#head + this.#onTheWay, 1)
      this.#bytes -= oldest?.bytes ?? 0
    }
    this.#items.push({ line, bytes, repeat: false })
    this.#bytes += bytes
    return true
  }

  /** The next lines to write, about 64 KiB; they are on the way now. */
  take(): string[] {
    const lines: string[] = []
    let bytes = 0
    for (let at = this.#head + this.#onTheWay; at < this.#items.length && bytes < BATCH_BYTES; at++) {
      const item = this.#items[at] as Item
      if (item.repeat) this.#repeated++
      lines.push(item.line)
      bytes += item.bytes
    }
    this.#onTheWay += lines.length
    return lines
  }

  /** The oldest of those on the way have arrived. @returns how many there were */
  confirm(count: number): number {
    const confirmed = Math.max(0, Math.min(count, this.#onTheWay))
    for (let at = this.#head; at < this.#head + confirmed; at++) this.#bytes -= this.#items[at]?.bytes ?? 0
    this.#head += confirmed
    this.#onTheWay -= confirmed
    if (this.#head > this.#items.length / 2) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return confirmed
  }

  /** The connection broke: all that was on the way waits again. */
  takeBack(): void {
    for (let at = this.#head; at < this.#head + this.#onTheWay; at++) (this.#items[at] as Item).repeat = true
    this.#onTheWay = 0
  }
}
