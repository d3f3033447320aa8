import type { Event } from '../../index.ts'
import type { FileIndexed } from './protocol.ts'
import type { EventCounts } from './state.ts'

const SECOND_MS = 1_000

interface Publisher {
  /** Numbers seen, as they came. */
  readonly seen: Set<number>
  highest: number
}

/**
 * Counts `file.indexed` without trusting the bus: each publisher numbers its events, so a gap is a loss whatever the
 * subscription said. Published is, for each publisher, the highest number that the switchboard acknowledged to it, asked
 * at the end, or, for those that were killed, the highest that was seen.
 */
export class Tally {
  readonly #publishers = new Map<string, Publisher>()
  readonly #recent: number[] = []
  delivered = 0
  repeated = 0
  told = 0
  toldExactly = true

  add(event: Event<string, unknown>, nowMs: number): void {
    const { number } = event.data as FileIndexed
    this.told += event.missedAtLeast
    if (!event.exact) this.toldExactly = false
    const publisher = this.#of(event.publisher.id)
    if (publisher.seen.has(number)) {
      this.repeated++
      return
    }
    publisher.seen.add(number)
    publisher.highest = Math.max(publisher.highest, number)
    this.delivered++
    this.#recent.push(nowMs)
  }

  acknowledged(publisher: string, number: number): void {
    const known = this.#of(publisher)
    known.highest = Math.max(known.highest, number)
  }

  counts(): EventCounts {
    let published = 0
    for (const { highest } of this.#publishers.values()) published += highest
    return { published, delivered: this.delivered, missed: published - this.delivered }
  }

  perSecond(nowMs: number): number {
    const from = this.#recent.findIndex((at) => at > nowMs - SECOND_MS)
    this.#recent.splice(0, from < 0 ? this.#recent.length : from)
    return this.#recent.length
  }

  #of(id: string): Publisher {
    let publisher = this.#publishers.get(id)
    if (publisher === undefined) this.#publishers.set(id, (publisher = { seen: new Set(), highest: 0 }))
    return publisher
  }
}
