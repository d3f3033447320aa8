import type { SubscriptionQueue } from '../../events/queue.ts'
import type { SubscribeBody } from '../../events/subscriber.ts'
import type { OutgoingTransfer } from '../../wire/transfer.ts'
import type { CatchUp } from './catch-up.ts'
import type { Entry } from './event-entry.ts'
import type { Port } from './port.ts'

/** One subscription of one link. */
export interface HubSubscription {
  readonly id: number
  readonly pattern: string
  readonly maxQueued: number | undefined
  readonly overflow: SubscribeBody['overflow']
  /** `undefined` while its link is gone: it only counts. */
  port: Port | undefined
  /** Matching events of this term, delivered or not, since the subscription began. */
  matched: number
  queue: SubscriptionQueue<Entry, Entry> | undefined
  /** Past events that come before what waits. */
  catchUp: CatchUp | undefined
  /** A long event on its way: later ones must not overtake it. */
  long: OutgoingTransfer | undefined
}

export interface EventCounters {
  published: number
  delivered: number
  dropped: number
  refused: number
  /** Repeats of publishes that were taken before (rule A12). */
  repeats: number
}

export interface EventRouterOptions {
  readonly term: number
  /** The term that this one follows: positions that end it in good order lose nothing. */
  readonly previousTerm: number
  readonly maxHubBytes?: number | undefined
  readonly maxBodyBytes?: number | undefined
  readonly ringMaxCount?: number | undefined
  readonly ringMaxBytes?: number | undefined
  /** Option `maxQueued` of subscriptions that name none. */
  readonly maxQueued?: number | undefined
  /** Whether the member of a slot is here, so that everybody knows whom the slot names. */
  readonly isHere: (slot: number) => boolean
}
