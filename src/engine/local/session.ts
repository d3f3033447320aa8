import { REMEMBERED_ACKS } from './limits.ts'
import type { HubSubscription } from './event-types.ts'

/**
 * What the switchboard knows of a member beyond its link: it is kept for a while when the link is lost, so that the
 * member can come back and go on where it was (rule C2).
 */
export class Session {
  readonly memberId: string
  /** Highest publish number taken. */
  lastPublish = 0
  /** Highest request number taken: what a goodbye tells (rule A13). */
  lastCall = 0
  /** Subscriptions whose link is gone and that go on counting. */
  readonly detached: Map<number, HubSubscription> = new Map()
  expiresAt: number = Infinity
  /** Event numbers by publish number, a ring: the answers to repeats. */
  #acks: Float64Array | undefined

  constructor(memberId: string) {
    this.memberId = memberId
  }

  acknowledged(publish: number, event: number): void {
    this.lastPublish = publish
    this.#acks ??= new Float64Array(REMEMBERED_ACKS)
    this.#acks[publish % REMEMBERED_ACKS] = event
  }

  /** Number of the event that a publish became; `undefined` when it was too long ago. */
  eventOf(publish: number): number | undefined {
    if (publish > this.lastPublish || publish <= this.lastPublish - REMEMBERED_ACKS) return undefined
    return this.#acks?.[publish % REMEMBERED_ACKS]
  }
}
