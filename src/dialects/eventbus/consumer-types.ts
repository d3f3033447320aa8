import type { PlaceOptions } from '../shared/uids.ts'
import type { EventFields, Hello, SourceState } from './messages.ts'
import type { StartOptions } from './start.ts'

export interface HookContext {
  /** Aborts with the consumer's `signal` while it sets up: a clean-up is finished. */
  readonly signal: AbortSignal
  /** The consumer before us ended without cleaning up (only a bus of ours knows). */
  readonly abandoned: boolean
}

export interface ConsumeOptions extends PlaceOptions {
  /** Of the bus; `busSocket(appId)` has the usual one. */
  readonly socket: string
  readonly eventKey: string
  /** Matched exactly. */
  readonly eventTypes: readonly string[]
  /** Parameters that belong to the subscription: consumers with other values have a first and a last of their own. */
  readonly params?: Readonly<Record<string, string>> | undefined
  /** Default: made of key and parameters. */
  readonly subscriptionId?: string | undefined
  /** Run by the first consumer of the subscription, before `consume` resolves. When it fails, the next one is first. */
  readonly setup?: ((context: HookContext) => void | Promise<void>) | undefined
  /** Run by the last one, whoever set up; the bus lets nobody in meanwhile. */
  readonly cleanup?: ((context: HookContext) => void | Promise<void>) | undefined
  /** Starts a bus when none answers. Without it there must be one. */
  readonly start?: StartOptions | undefined
  /** How long a bus is waited for at first, without `start`. Default 0. */
  readonly waitMs?: number | undefined
  /** How long a lost bus is looked for. Default: for ever; 0: not at all. */
  readonly reconnectMs?: number | undefined
  /** Ends after so many events that passed the filter. */
  readonly limit?: number | undefined
  /** Ends after this time. */
  readonly timeoutMs?: number | undefined
  /** Ends it in order, as a signal ends the existing program. */
  readonly signal?: AbortSignal | undefined
  /** Events it says no to are not delivered. */
  readonly filter?: ((event: EventFields) => boolean) | undefined
  /** Events held here before reading stops, 1 to 1000. Default 100. */
  readonly queueSize?: number | undefined
  /** Additive fields of hello. */
  readonly hello?:
    | Pick<Hello, 'consumerScopeId' | 'remoteSubscriptionId' | 'identity' | 'profile' | 'userOpenId' | 'capabilities'>
    | undefined
  /** False: nothing is sent that a v1 consumer would not send. Default true. */
  readonly extensions?: boolean | undefined
  /** Called in order with the events, not waited for. */
  readonly onNotice?: ((notice: ConsumerNotice) => void) | undefined
  readonly maxFrameBytes?: number | undefined
  readonly probeTimeoutMs?: number | undefined
  readonly helloTimeoutMs?: number | undefined
  readonly checkTimeoutMs?: number | undefined
}

export interface ReceivedEvent extends EventFields {
  /** Its number on this connection; 0: the bus does not number. */
  readonly seq: number
  /** How many of ours were lost right before it; Infinity when nobody can know: the bus was another one in between. */
  readonly missed: number
}

export type ConsumerNotice =
  | {
      readonly type: 'source-status'
      readonly source: string
      readonly state: SourceState
      readonly detail?: string | undefined
    }
  /** Right before the event that comes after the gap. */
  | { readonly type: 'gap'; readonly missed: number }
  | { readonly type: 'disconnected'; readonly error: Error | undefined }
  /** From when the bus was lost until now, events may have been missed. */
  | { readonly type: 'reconnected'; readonly pid: number; readonly downMs: number }
  /** A line that is no message, or too long. */
  | { readonly type: 'skipped'; readonly error: Error }

export type EndReason =
  | { readonly type: 'limit' | 'timeout' | 'signal' | 'closed' }
  | { readonly type: 'rejected'; readonly reason: string }
  /** Looked for as long as it was asked to, or somebody else sits there. */
  | { readonly type: 'bus-gone'; readonly error: Error }

export type ConsumerEnd = EndReason & {
  /**
   * `unknown`: no bus could say whether this was the last one, so nothing was cleaned up; the next first one sets up anew.
   * `none`: it was the last one, and has no clean-up.
   */
  readonly cleanup: 'ran' | 'failed' | 'not-last' | 'none' | 'unknown'
  /** What the clean-up threw. */
  readonly cleanupError?: Error | undefined
  readonly received: number
  /** Known losses. */
  readonly missed: number
  /** Arrived while it was ending, or were there and not read. */
  readonly undelivered: number
}
