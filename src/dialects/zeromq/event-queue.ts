import type { Envelope } from './envelope.ts'

/** An event, and how many were lost right before it: `Infinity` where nobody can know. */
export interface ReceivedEnvelope extends Envelope {
  readonly missed: number
}

interface Entry {
  envelope: Envelope
  missed: number
  readonly bytes: number
}

/** Events that wait for their reader: bounded, the oldest make room, and what they were is told to the next one. */
export class EventQueue {
  readonly #maxCount: number
  readonly #maxBytes: number
  #entries: (Entry | undefined)[] = []
  #head = 0
  #bytes = 0
  /** Lost before what comes next. */
  #lost = 0

  constructor(maxCount: number, maxBytes: number) {
    this.#maxCount = maxCount
    this.#maxBytes = maxBytes
  }

  get size(): number {
    return this.#entries.length - this.#head
  }

  /** Whether one more event of average size would push another out. */
  get full(): boolean {
    return this.size >= this.#maxCount || this.#bytes >= this.#maxBytes
  }

  /** @returns how many made room */
  push(envelope: Envelope, bytes: number, missed: number): number {
    let dropped = 0
    while (this.size > 0 && (this.size >= this.#maxCount || this.#bytes + bytes > this.#maxBytes)) {
      const oldest = this.#next()
      // What was lost before it, and itself, is lost before its successor.
      this.#lost += oldest.missed + 1
      dropped++
      const first = this.#entries[this.#head]
      if (first !== undefined) {
        first.missed += this.#lost
        this.#lost = 0
      }
    }
    this.#entries.push({ envelope, missed: missed + this.#lost, bytes })
    this.#lost = 0
    this.#bytes += bytes
    return dropped
  }

  take(): ReceivedEnvelope | undefined {
    if (this.size === 0) return undefined
    const { envelope, missed } = this.#next()
    return received(envelope, missed)
  }

  #next(): Entry {
    const entry = this.#entries[this.#head] as Entry
    this.#entries[this.#head++] = undefined
    if (this.#head === this.#entries.length) {
      this.#entries = []
      this.#head = 0
    } else if (this.#head >= 1024 && this.#head * 2 > this.#entries.length) {
      this.#entries.splice(0, this.#head)
      this.#head = 0
    }
    this.#bytes -= entry.bytes
    return entry
  }
}

/** The envelope itself, which nobody else has. */
export function received(envelope: Envelope, missed: number): ReceivedEnvelope {
  ;(envelope as { missed?: number }).missed = missed
  return envelope as ReceivedEnvelope
}
