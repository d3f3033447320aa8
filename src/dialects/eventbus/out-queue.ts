import { eventLine, type EventText } from './event-text.ts'

export interface OutQueueLimits {
  readonly events: number
  readonly bytes: number
  readonly states: number
}

type Entry =
  | { readonly kind: 'event'; readonly seq: number; readonly text: EventText }
  | { readonly kind: 'state' | 'answer'; readonly line: string }

/**
 * What waits for one consumer, in order. Events: the oldest is dropped and counted, and seq shows the gap; numbering and
 * queueing are one step. States are no events: they neither count nor are counted, and are never dropped for one.
 * Answers are never dropped; their number is bounded by its owner.
 */
export class OutQueue {
  readonly #limits: OutQueueLimits
  #entries: Entry[] = []
  #head = 0
  #events = 0
  #bytes = 0
  #states = 0
  #answers = 0
  #seq = 0
  #dropped = 0

  constructor(limits: OutQueueLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#entries.length - this.#head
  }

  get events(): number {
    return this.#events
  }

  get answers(): number {
    return this.#answers
  }

  /** Events queued so far, those that were dropped later too: the last seq. */
  get received(): number {
    return this.#seq
  }

  get dropped(): number {
    return this.#dropped
  }

  event(text: EventText): void {
    this.#entries.push({ kind: 'event', seq: ++this.#seq, text })
    this.#events++
    this.#bytes += text.bytes
    while (this.#events > this.#limits.events || (this.#bytes > this.#limits.bytes && this.#events > 1)) {
      const oldest = this.#removeOldest('event')
      this.#dropped++
      this.#events--
      if (oldest.kind === 'event') this.#bytes -= oldest.text.bytes
    }
  }

  state(line: string): void {
    this.#entries.push({ kind: 'state', line })
    if (++this.#states <= this.#limits.states) return
    this.#removeOldest('state')
    this.#states--
  }

  answer(line: string): void {
    this.#entries.push({ kind: 'answer', line })
    this.#answers++
  }

  /** Lines of at least one entry and of about `maxBytes`; empty when nothing waits. */
  take(maxBytes: number): string {
    let text = ''
    while (this.#head < this.#entries.length && text.length < maxBytes) {
      const entry = this.#entries[this.#head++] as Entry
      if (entry.kind === 'event') {
        text += eventLine(entry.text, entry.seq)
        this.#events--
        this.#bytes -= entry.text.bytes
      } else {
        text += entry.line
        if (entry.kind === 'state') this.#states--
        else this.#answers--
      }
    }
    if (this.#head === this.#entries.length) {
      this.#entries = []
      this.#head = 0
    }
    return text
  }

  #removeOldest(kind: Entry['kind']): Entry {
    const entries = this.#entries
    let at = this.#head
    while (entries[at]?.kind !== kind) at++
    const removed = entries[at] as Entry
    // What stands before it moves up: it is little, and mostly nothing.
    for (; at > this.#head; at--) entries[at] = entries[at - 1] as Entry
    this.#head++
    if (this.#head > entries.length / 2) {
      this.#entries = entries.slice(this.#head)
      this.#head = 0
    }
    return removed
  }
}
