/*
 * The ten messages, with the fields of v1 and the additive ones of later states, under names of this language.
 * `src/dialects/eventbus/codec.ts` has their names on the wire.
 */

/** consumer to bus: the first message of a consumer. */
export interface Hello {
  readonly type: 'hello'
  /** What the peer says; the kernel's word counts. */
  readonly pid: number
  readonly eventKey: string
  readonly eventTypes: readonly string[]
  readonly version: string
  readonly subscriptionId?: string | undefined
  readonly consumerScopeId?: string | undefined
  readonly remoteSubscriptionId?: string | undefined
  readonly identity?: unknown
  readonly profile?: string | undefined
  readonly userOpenId?: string | undefined
  readonly capabilities?: readonly string[] | undefined
  /** Ours: it was a consumer of this key before the bus went away. */
  readonly resumed?: boolean | undefined
}

export interface HelloAck {
  readonly type: 'hello_ack'
  readonly busVersion: string
  readonly firstForKey: boolean
  readonly rejected?: boolean | undefined
  readonly rejectReason?: string | undefined
  readonly capabilities?: readonly string[] | undefined
  /** Ours: the last consumer before this one was killed and cleaned nothing up. */
  readonly abandoned?: boolean | undefined
}

/** What travels in an event beside `seq`. */
export interface EventFields {
  readonly eventType: string
  readonly eventId?: string | undefined
  /** Milliseconds, as text. */
  readonly sourceTime?: string | undefined
  readonly payload: unknown
  readonly appId?: string | undefined
  readonly tenantKey?: string | undefined
  /** RFC 3339 with nanoseconds, UTC. */
  readonly observedAt?: string | undefined
  readonly remoteSubscriptionId?: string | undefined
  readonly targetResource?: unknown
  readonly authority?: unknown
  readonly subscriptionEventId?: string | undefined
}

export interface EventMessage extends EventFields {
  readonly type: 'event'
  /** From 1 on each connection; dropped events count too. 0: not told. */
  readonly seq: number
}

export type SourceState = 'connecting' | 'connected' | 'disconnected' | 'reconnecting'
export const SOURCE_STATES: readonly SourceState[] = ['connecting', 'connected', 'disconnected', 'reconnecting']

export interface SourceStatus {
  readonly type: 'source_status'
  readonly source: string
  readonly state: SourceState
  readonly detail?: string | undefined
}

export interface PreShutdownCheck {
  readonly type: 'pre_shutdown_check'
  readonly eventKey: string
  readonly subscriptionId?: string | undefined
}

export interface PreShutdownAck {
  readonly type: 'pre_shutdown_ack'
  readonly lastForKey: boolean
}

export interface Bye {
  readonly type: 'bye'
}

export interface StatusQuery {
  readonly type: 'status_query'
}

export interface ConsumerStatus {
  readonly pid: number
  readonly eventKey: string
  readonly subscriptionId?: string | undefined
  /** Events queued for it, also those that were dropped later. */
  readonly received: number
  readonly dropped: number
}

export interface StatusResponse {
  readonly type: 'status_response'
  readonly pid: number
  readonly uptimeSec: number
  readonly activeConns: number
  readonly consumers: readonly ConsumerStatus[]
  readonly protocolVersion?: string | undefined
  readonly capabilities?: readonly string[] | undefined
  readonly registeredEventTypes?: readonly string[] | undefined
}

export interface Shutdown {
  readonly type: 'shutdown'
}

/** Ours, and skipped by every other bus: the set-up of the first consumer is over. */
export interface SetupDone {
  readonly type: 'setup_done'
}

export type BusMessage =
  | Hello
  | HelloAck
  | EventMessage
  | SourceStatus
  | PreShutdownCheck
  | PreShutdownAck
  | Bye
  | StatusQuery
  | StatusResponse
  | Shutdown

/** With what only peers of ours say to each other. */
export type AnyMessage = BusMessage | SetupDone

export const BUS_VERSION = 'v1'
/** In `capabilities`: the peer keeps its connection during a clean-up, says bye after it, and tells when its set-up is over. */
export const CONCLAVE_CAPABILITY = 'conclave_lifecycle_v1'
