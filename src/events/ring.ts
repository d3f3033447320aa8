import { ConclaveError } from '../errors/index.ts'
import { RING_MAX_BYTES, RING_MAX_COUNT } from './limits.ts'

export interface RingOptions<E> {
  readonly maxCount?: number | undefined
  readonly maxBytes?: number | undefined
  /** Everything after this seq is pushed; of what came before the ring knows nothing. Default 0. */
  readonly base?: number | undefined
  /** Told of each entry that the ring does not hold, or holds no longer. */
  readonly onGone?: ((entry: E) => void) | undefined
}

export interface Replay<E> {
  readonly entries: readonly E[]
  /** False when entries that were asked for may have been there once and are gone. */
  readonly complete: boolean
}

const SMALLEST = 16

/**
 * The latest events, bounded by count and by bytes: always an unbroken end of what was pushed. An entry larger than
 * `maxBytes` empties the ring and is not kept itself, since keeping older ones would hide the hole.
 */
export class ReplayRing<E extends { readonly seq: number; readonly bytes: number }> {
  readonly #maxCount: number
  readonly #maxBytes: number
  readonly #onGone: ((entry: E) => void) | undefined
  #slots: (E | undefined)[] = []
  #first = 0
  #size = 0
  #bytes = 0
  #latestSeq: number
  #lostThrough: number
  #evictedCount = 0
  #evictedBytes = 0

  constructor({ maxCount = RING_MAX_COUNT, maxBytes = RING_MAX_BYTES, base = 0, onGone }: RingOptions<E> = {}) {
    this.#onGone = onGone
    this.#maxCount = maxCount
    this.#maxBytes = maxBytes
    this.#latestSeq = base
    this.#lostThrough = base
  }

  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#bytes
  }

  get earliest(): E | undefined {
    return this.#size === 0 ? undefined : this.#at(0)
  }

  get latest(): E | undefined {
    return this.#size === 0 ? undefined : this.#at(this.#size - 1)
  }

  /** The seq of the last push, kept or not; the base before the first. */
  get latestSeq(): number {
    return this.#latestSeq
  }

  /** Entries pushed and no longer held, since the ring was made. */
  get evictedCount(): number {
    return this.#evictedCount
  }

  get evictedBytes(): number {
    return this.#evictedBytes
  }

  /** @throws `INTERNAL` when the seq does not rise: the order of the ring is what `after` searches by */
  push(entry: E): void {
    if (!(entry.seq > this.#latestSeq)) {
      throw new ConclaveError(
        'INTERNAL',
        `Event ${entry.seq} came after event ${this.#latestSeq} into the replay ring.`,
      )
    }
    this.#latestSeq = entry.seq
    while (this.#size > 0 && (this.#size >= this.#maxCount || this.#bytes + entry.bytes > this.#maxBytes)) this.#evict()
    if (this.#maxCount < 1 || entry.bytes > this.#maxBytes) {
      this.#count(entry)
      return
    }
    if (this.#size === this.#slots.length) this.#grow()
    this.#slots[(this.#first + this.#size) % this.#slots.length] = entry
    this.#size++
    this.#bytes += entry.bytes
  }

  /** Entries with a higher seq, oldest first, at most `limit`; to go on, ask after the seq of the last one. */
  after(seq: number, limit: number = Infinity): Replay<E> {
    let low = 0
    let high = this.#size
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#at(middle).seq > seq) high = middle
      else low = middle + 1
    }
    const entries: E[] = []
    const end = Math.min(this.#size, low + Math.max(0, limit))
    for (let i = low; i < end; i++) entries.push(this.#at(i))
    return { entries, complete: seq >= this.#lostThrough }
  }

  /** The latest `n` entries that pass, oldest first. Not complete when fewer were found and older ones are gone. */
  last(n: number, filter: (entry: E) => boolean = () => true): Replay<E> {
    const entries: E[] = []
    for (let i = this.#size - 1; i >= 0 && entries.length < n; i--) {
      const entry = this.#at(i)
      if (filter(entry)) entries.push(entry)
    }
    return { entries: entries.reverse(), complete: entries.length >= n || this.#evictedCount === 0 }
  }

  #at(index: number): E {
    return this.#slots[(this.#first + index) % this.#slots.length] as E
  }

  #evict(): void {
    const entry = this.#at(0)
    this.#slots[this.#first] = undefined
    this.#first = (this.#first + 1) % this.#slots.length
    this.#size--
    this.#bytes -= entry.bytes
    this.#count(entry)
  }

  #count(entry: E): void {
    this.#evictedCount++
    this.#evictedBytes += entry.bytes
    this.#lostThrough = entry.seq
    this.#onGone?.(entry)
  }

  #grow(): void {
    const slots = new Array<E | undefined>(Math.min(this.#maxCount, Math.max(SMALLEST, this.#slots.length * 2)))
    for (let i = 0; i < this.#size; i++) slots[i] = this.#at(i)
    this.#slots = slots
    this.#first = 0
  }
}
