import type { CloseReason, EngineStatus as Status, HubSnapshot } from '../engine/engine.ts'
import type {
  DataIn,
  Event,
  EventsFor,
  PatternIn,
  PublishOptions,
  SubscribeOptions,
  Subscription,
  TopicIn,
} from '../events/types.ts'
import type {
  Args,
  Contract,
  Events,
  Extra,
  Given,
  Item,
  Methods,
  Open,
  Params,
  Result,
  Streaming,
} from '../rpc/contract.ts'
import type {
  AnyHandlersOf,
  CallContext,
  CallOptions,
  GatherOptions,
  HandlersOf,
  InferredMethods,
  NotifyOptions,
  OfferOptions,
  Reply,
  Stream,
  Wait,
} from '../rpc/types.ts'
import type { MemberRef, Role } from '../wire/peers.ts'
import type { AnyWrites, Database, DatabaseOptions, InferredWrites, WriteHandlers } from './database.ts'

export interface JoinOptions<C, M, W> {
  /** Your product. Two products in one folder never meet: each has its own lock and bus (`.conclave/<app>/`). */
  readonly app?: string | undefined
  /** For status and logs; N processes of one program share it. Default: the main script's name. */
  readonly name?: string | undefined
  /**
   * Generation of the program. The highest joined version becomes primary; one below the primary's `minVersion` gets
   * `SUPERSEDED`. Default: the number of migrations.
   */
  readonly version?: number | undefined
  /** The oldest version that may stay beside this one. Default: `version`. */
  readonly minVersion?: number | undefined
  /** `may` (default): if elected. `never`: command lines, helpers. `must`: a daemon; rejects with `PRIMARY_EXISTS` and says who. */
  readonly primary?: 'may' | 'never' | 'must' | undefined
  /** Milliseconds that `never` waits for a primary (then `NO_PRIMARY`) and `must` for the seat. Default 0. */
  readonly waitMs?: number | undefined
  /** Ends the wait; afterwards closes the member, as in `server.listen({ signal })`. */
  readonly signal?: AbortSignal | undefined
  /** False: only pending work (calls, publishes, writes) keeps the process alive; a subscription is none. Default true. */
  readonly ref?: boolean | undefined
  readonly contract?: C | undefined
  /** Offered before anyone can call. A handler that needs the member uses `ctx.member`. */
  readonly methods?: Given<C, M, Handlers<C>> | undefined
  /**
   * Runs in whoever is primary, before it serves; what it returns ends it, before the next one starts. It has 5 s for that
   * (`timeoutMs` of `close()`, else `limits.drainMs`): the next one starts then, whatever still runs here.
   */
  readonly whilePrimary?: Start<{ readonly member: Member<Given<C, Open, C>>; readonly term: number }> | undefined
  /** One SQLite database for all members: `member.db`. Written by the primary only; needs node:sqlite. */
  readonly database?: DatabaseOptions<Given<C, W, WriteHandlers<C>>> | undefined
  /** By the names of docs/limits.md. */
  readonly limits?: Readonly<Record<string, number>> | undefined
  /** Pino or console. Default silent; NODE_DEBUG=conclave writes to stderr. */
  readonly logger?: Logger | undefined
}

export interface Logger {
  debug(o: object, m: string): void
  info(o: object, m: string): void
  warn(o: object, m: string): void
  error(o: object, m: string): void
}

/** One shape for every "start it, stop it". It may await; it may return its stop. `signal`: stop is coming. */
export type Start<X> = (ctx: X & { readonly signal: AbortSignal }) => Stop | Promise<Stop>
export type Stop = void | (() => unknown) | Disposable | AsyncDisposable

/** A folder; or another place, such as `memoryWorkspace()` of conclave/testing. */
export type Place = string | URL | { readonly conclave: 'place' }

/** One signature: with overloads every mistake would read as a wrong contract. */
export interface Join {
  <M extends AnyHandlers, W extends AnyWrites, const C extends Contract = Open>(
    place: Place,
    options?: JoinOptions<C, M, W>,
  ): Promise<Member<Given<C, Inferred<M, W>, C>>>
}

/** The nearest folder upwards that is a workspace, as git does it; undefined if none. `join('.')` means this very folder. */
export interface FindWorkspace {
  (from: string, options?: { readonly app?: string | undefined }): string | undefined
}

/**
 * One place in a workspace. Nothing is thrown when the primary goes: calls wait for the next one until their deadline,
 * or settle as `DISCONNECTED` with an outcome.
 */
export interface Member<C = Open> extends AsyncDisposable {
  readonly id: string
  readonly name: string
  /** The folder's real path: a label, not its identity. */
  readonly workspace: string
  /** For display. It may change at the next await: act in `whilePrimary`, or call the primary. */
  readonly role: Role
  readonly term: number
  readonly primary: MemberRef | undefined

  /**
   * One answer. To oneself: the same codec, checks and deadline, never synchronous. Waits for a primary until the deadline (30 s).
   * Bytes are not copied, since they may be long: leave the array as it is until the call has settled.
   */
  call<K extends (keyof Methods<C> & string) | Extra<C>>(
    method: K,
    ...args: Args<Params<C, K>, CallOptions>
  ): Promise<Result<C, K>>
  /** What the handler yields, as it comes, with backpressure; leaving the loop cancels the handler. No deadline by default. */
  stream<K extends Streaming<C> | Extra<C>>(
    method: K,
    ...args: Args<Params<C, K>, CallOptions>
  ): Stream<Item<C, K>, Result<C, K>>
  /** One reply per addressed member, also from those that failed or were silent (`TIMEOUT`). Default: all that offer it, 5 s. */
  gather<K extends (keyof Methods<C> & string) | Extra<C>>(
    method: K,
    ...args: Args<Params<C, K>, GatherOptions>
  ): AsyncIterableIterator<Reply<Result<C, K>>>
  /** A call without an answer. Resolves when the switchboard has it. */
  notify<K extends (keyof Methods<C> & string) | Extra<C>>(
    method: K,
    ...args: Args<Params<C, K>, NotifyOptions>
  ): Promise<void>
  /** More methods, later: plugins, workers. Disposing withdraws them; calls that run are finished. */
  offer(methods: Offered<C>, options?: OfferOptions): Disposable

  /** Resolves with the seq. Nobody needs to await it: its rejection is counted in `inspect()`, never "unhandled". Bytes are copied. */
  publish<T extends Topic<C>>(topic: T, data: Data<C, T>, options?: PublishOptions): Promise<number>
  /** In force with the call: what I publish next is seen, `ready` says from which seq others' events are. */
  subscribe<P extends Pattern<C> & string>(pattern: P, options?: SubscribeOptions): Subscription<EventOf<C, P>>
  /** The same with a listener, one event at a time; what it throws is an uncaught exception, as with EventTarget. */
  on<P extends Pattern<C> & string>(
    pattern: P,
    listener: (event: EventOf<C, P>) => unknown,
    options?: SubscribeOptions,
  ): Subscription<EventOf<C, P>>
  /** The workspace's database. @throws `NO_DATABASE` when `join()` was given none */
  readonly db: Database<C>
  /** The same member, other types; without a value nothing is checked at run time. */
  with<D extends Contract>(contract?: D): Member<D>
  /** Begins with what is. */
  status(): AsyncIterableIterator<Status>
  /** What `conclave status --json` prints. */
  inspect(): Promise<Snapshot>
  /**
   * Drain, stop, hand over; idempotent; 5 s. By a handler's `ctx.member` it resolves when all other handlers have ended: the
   * end itself waits for this one. What awaits it by another way inside a handler, or inside `whilePrimary`, waits for
   * itself, until the time is up.
   */
  close(options?: Wait): Promise<void>
  /** Now: pending calls settle as `ABORTED`. Idempotent. */
  abort(reason?: unknown): void
  /** Never rejects. */
  readonly closed: Promise<CloseReason>
  ref(): this
  unref(): this
}

export interface Context<C = Open> extends CallContext {
  readonly member: Member<C>
}

export type Handlers<C> = HandlersOf<C, Context<C>>
/** What a member may offer later: with a contract its methods, otherwise any. */
export type Offered<C> = C extends { readonly inferred: true } ? AnyHandlers : Given<C, AnyHandlers, Handlers<C>>
export type AnyHandlers = AnyHandlersOf<Context>

/** The contract of a member that was given handlers and no contract. */
export interface Inferred<M, W> {
  readonly inferred: true
  readonly events: Open['events']
  readonly methods: InferredMethods<M>
  readonly writes: InferredWrites<W>
}

export type Topic<C> = TopicIn<Events<C>>
export type Data<C, T extends string> = DataIn<Events<C>, T>
export type Pattern<C> = PatternIn<Events<C>>
export type EventOf<C, P extends string> = EventsFor<Events<C>, P>
export type { Event }

export type { CloseReason, EngineStatus as Status, LinkSnapshot, MemberSnapshot } from '../engine/engine.ts'

/** What `conclave status --json` prints. */
export interface Snapshot extends HubSnapshot {
  /** The folder's real path. */
  readonly workspace: string
}
