import type { ConclaveError } from '../errors/index.ts'
import type { ActiveSubscription, SubscriptionRequest } from '../events/subscriber.ts'
import type { Event } from '../events/types.ts'
import type { Target } from '../rpc/address.ts'
import type { Body } from '../rpc/body.ts'
import type { RequestHandler } from '../rpc/dispatcher.ts'
import type { MemberRef, Role } from '../wire/peers.ts'

/** A call as the member's room hands it over: the value is encoded, the deadline absolute. */
export interface EngineCall {
  readonly method: string
  readonly body: Body
  readonly target: Target
  /** CLOCK_MONOTONIC, milliseconds; Infinity for none. */
  readonly deadline: number
  /** Streams: milliseconds for each item. */
  readonly patienceMs?: number | undefined
  readonly idempotent?: boolean | undefined
  readonly traceparent?: string | undefined
  readonly signal?: AbortSignal | undefined
  /** Part of what this member was asked before: it goes on while the member closes. */
  readonly nested?: boolean | undefined
}

export interface EngineOffer {
  readonly method: string
  readonly to: 'primary' | 'any'
  /** 0 for no bound. */
  readonly concurrency: number
  readonly handler: RequestHandler
}

export interface PeersQuery {
  readonly method: string
  readonly to?: 'all' | 'others' | { readonly name: string } | { readonly ids: readonly string[] } | undefined
}

export interface Peers {
  readonly peers: readonly (MemberRef & { readonly slot: number })[]
  readonly absent: readonly string[]
}

export type LeaveCause = 'closed' | 'died' | 'evicted'

export interface MemberSnapshot extends MemberRef {
  readonly role: Role
  /** ISO 8601, by the clock of the primary. */
  readonly joined: string
  /** Names on offer, sorted. */
  readonly methods: readonly string[]
}

export interface LinkSnapshot {
  /** The member's id; undefined for a peer without one. */
  readonly member: string | undefined
  readonly form: 'frames' | 'lines'
  readonly pid: number
  /** What waits to be written to it, beside events. */
  readonly outgoingBytes: number
  /** Events that wait for its subscriptions. */
  readonly queuedEvents: number
  readonly queuedBytes: number
  /** Its calls that have not ended, and those it answers. */
  readonly pendingCalls: number
  readonly servingCalls: number
  readonly subscriptions: number
  /** Events it lost at the bound of its queues. */
  readonly dropped: number
}

export interface QueueSnapshot {
  readonly count: number
  readonly bytes: number
}

/** The workspace as its switchboard sees it, at one moment. */
export interface HubSnapshot {
  readonly term: number
  readonly primary: MemberRef
  /** In the order they joined. */
  readonly members: readonly MemberSnapshot[]
  /** Every connection to the switchboard, also of peers that are no members (JSON lines). */
  readonly links: readonly LinkSnapshot[]
  /** What waits at the switchboard: events for slow links, calls for a member that may take them. */
  readonly queues: { readonly events: QueueSnapshot; readonly calls: QueueSnapshot }
  /** Events that subscribers lost at full queues since the term began. */
  readonly drops: number
  /** What happened since the term began; each only ever rises. */
  readonly counters: Readonly<Record<string, number>>
  /** What the primary serves; `undefined` when it brings no database. */
  readonly database: DatabaseSnapshot | undefined
}

/** The workspace's database, in the hands of the primary. */
export interface DatabaseSnapshot {
  /** Its real path. */
  readonly file: string
  readonly durability: 'normal' | 'full'
  /** SQLite's version. */
  readonly sqlite: string
  /** Writes that wait for their turn. */
  readonly queue: QueueSnapshot
  readonly walBytes: number
  /** Process ids whose open reads keep the WAL from being cut; `undefined` where the system doesn't tell (rule B9). */
  readonly walHolders: readonly number[] | undefined
  /** How often another program was seen to have written to the file since the term began. */
  readonly foreignWrites: number
}

export type LossCause = 'gone' | 'handover' | 'unresponsive'

/** What happens to a member, in order. */
export type EngineStatus =
  | { readonly type: 'role'; readonly role: Role; readonly term: number }
  | { readonly type: 'primary-lost'; readonly term: number; readonly cause: LossCause }
  | {
      readonly type: 'primary-found'
      readonly primary: MemberRef
      readonly term: number
      readonly afterMs: number
    }
  | { readonly type: 'dropped'; readonly pattern: string; readonly count: number }
  | { readonly type: 'warning'; readonly error: ConclaveError }
  | { readonly type: 'closed'; readonly reason: CloseReason }

export type CloseReason =
  | { readonly type: 'closed' | 'aborted'; readonly cause?: unknown }
  | { readonly type: 'superseded' | 'evicted' | 'workspace-gone'; readonly error: ConclaveError }

/** The items of one stream, as they come. */
export interface EngineStream {
  /** The next item; `done` with what the handler returned. */
  next(): Promise<IteratorResult<unknown, unknown>>
  /** What the handler returned. Its rejection needs no handler. */
  readonly result: Promise<unknown>
  /** Leaves: the handler is told. */
  cancel(reason?: unknown): void
}

export interface CloseOptions {
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** What is still sent, as nested requests, before the drain begins. Never rejects, and takes no longer than it may. */
  readonly first?: (() => Promise<void> | undefined) | undefined
  /** Asked for by a handler of this member, for which the end waits: the promise settles when only such handlers run. */
  readonly byHandler?: { readonly over: boolean } | undefined
}

/**
 * What carries a workspace. `engine/local` does it with Unix sockets; a member knows nothing below this interface.
 * Every promise settles: by result, error, deadline, abort, or the end of the engine.
 */
export interface Engine {
  readonly self: MemberRef
  /** Where it joined, for people. */
  readonly workspace: string
  readonly role: Role
  readonly term: number
  readonly primary: MemberRef | undefined
  readonly closed: Promise<CloseReason>
  /** CLOCK_MONOTONIC, milliseconds: what deadlines are measured by. */
  now(): number

  call(call: EngineCall): Promise<unknown>
  stream(call: EngineCall): EngineStream
  /** Resolves when the switchboard has it. */
  notify(call: EngineCall): Promise<void>
  /** Who would be addressed. */
  peers(query: PeersQuery, deadline: number, signal?: AbortSignal): Promise<Peers>

  /** @throws `CONFLICT` when this member offers the method already */
  offer(offer: EngineOffer): void
  withdraw(method: string): void
  /** Handlers may run from now on. */
  open(): void

  /**
   * @param nested as with a call
   * @param sensitive subscribers are told that the data is not to be shown
   */
  publish(topic: string, body: Body, nested?: boolean, sensitive?: boolean): Promise<number>
  /** @throws `INVALID_OPTION`, `OVERLOADED`, `CLOSED` */
  subscribe<Out>(
    request: SubscriptionRequest,
    deliver: (event: Event, missed: number, atLeast: number) => Out,
  ): ActiveSubscription<Out>
  unsubscribe(subscription: ActiveSubscription<unknown>): void

  /** @returns how to stop listening */
  onStatus(listener: (status: EngineStatus) => void): () => void
  inspect(deadline: number, signal?: AbortSignal): Promise<HubSnapshot>
  /** This member's own counters. */
  counters(): Readonly<Record<string, number>>

  /** Idempotent. */
  close(options: CloseOptions): Promise<void>
  abort(reason: unknown): void
  ref(): void
  unref(): void
}
