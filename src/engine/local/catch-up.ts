import type { ReplayRing } from '../../events/ring.ts'
import { TopicMatcher } from '../../events/topics.ts'
import type { Entry } from './event-entry.ts'

/**
 * Past events that a subscription asked for. They stay in the ring and are read from there at the pace of the link: in the
 * queue of a subscription there would not be room for them. What the ring lets go of meanwhile is counted.
 */
export class CatchUp {
  readonly #ring: ReplayRing<Entry>
  readonly #matches: (entry: Entry) => boolean
  #through: number
  #at: number
  #left: number
  /** It goes on in the next turn. */
  scheduled = false

  /** @param left events that match, all of them in the ring, after number `after` and up to `through` */
  constructor(
    ring: ReplayRing<Entry>,
    matches: (entry: Entry) => boolean,
    after: number,
    through: number,
    left: number,
  ) {
    this.#ring = ring
    this.#matches = matches
    this.#at = after
    this.#through = through
    this.#left = left
  }

  /** Number of the last event that belongs to it. */
  get through(): number {
    return this.#through
  }

  /** One that matches came meanwhile, and the ring has it. */
  extend(entry: Entry): void {
    this.#through = entry.seq
    this.#left++
  }

  /** Events to come. */
  get left(): number {
    return this.#left
  }

  /** @returns how many of those to come the ring has let go since it was asked last */
  lost(): number {
    if (this.#ring.after(this.#at, 0).complete) return 0
    const held = this.#ring
      .after(this.#at)
      .entries.filter((entry) => entry.seq <= this.#through && this.#matches(entry))
    const lost = this.#left - held.length
    this.#left = held.length
    return lost
  }

  next(): Entry | undefined {
    while (this.#left > 0) {
      const entry = this.#ring.after(this.#at, 1).entries[0]!
      this.#at = entry.seq
      if (!this.#matches(entry)) continue
      this.#left--
      return entry
    }
    return undefined
  }
}

/** Whether an event is of a pattern. */
export function matching(pattern: string): (entry: Entry) => boolean {
  const matcher = new TopicMatcher<true>()
  matcher.add(pattern, true)
  return (entry) => matcher.match(entry.topic).length > 0
}
