import type { Envelope } from './envelope.ts'
import { MAX_FOLLOWED_TOPICS } from './limits.ts'

interface Last {
  instanceId: string
  seq: number
}

/** How many events are missing before one: by its number within its topic, where the bus numbers them. */
export class Gaps {
  readonly #topics = new Map<string, Last>()
  /** The connection was lost since: without numbers nobody knows what was published meanwhile. */
  #unsure = false

  disconnected(): void {
    this.#unsure = true
  }

  missedBefore({ topic, instanceId, seq }: Envelope): number {
    const unsure = this.#unsure
    this.#unsure = false
    if (seq === undefined) return unsure ? Infinity : 0
    const last = this.#topics.get(topic)
    if (last === undefined) {
      if (this.#topics.size < MAX_FOLLOWED_TOPICS) this.#topics.set(topic, { instanceId, seq })
      return unsure ? Infinity : 0
    }
    const missed = last.instanceId === instanceId && seq > last.seq ? seq - last.seq - 1 : Infinity
    last.instanceId = instanceId
    last.seq = seq
    return missed
  }
}
