import type { MemberRef } from '../wire/peers.ts'
import type { In, Name, Out, Schema } from '../wire/schema.ts'

/** One event, as a subscription gives it. */
export interface Event<T extends string = string, D = unknown> {
  readonly topic: T
  readonly data: D
  /** Its position on the bus: rises by at least one with each event, across terms too. What `{ after }` takes. */
  readonly seq: number
  /** The election its primary won. */
  readonly term: number
  readonly publisher: MemberRef
  /** When it was published: milliseconds since 1970 by its publisher's clock. For display. */
  readonly time: number
  /** Its publisher marked the data: don't log or show it. `conclave tail` doesn't. */
  readonly sensitive: boolean
  /** Events of this subscription lost right before this one: 0 as a rule, Infinity when nobody knows how many. */
  readonly missed: number
  /** How many are certain: `missed` itself while that is a number. */
  readonly missedAtLeast: number
  /** False when the count died with an old primary; then `missed` is Infinity. */
  readonly exact: boolean
}

export interface PublishOptions {
  /**
   * True: `data` is a secret. Subscribers get it as always, with `event.sensitive`; nothing of ours prints it. What the
   * topic's contract marks stays marked. Default: as the contract says, else false.
   */
  readonly sensitive?: boolean | undefined
}

export interface SubscribeOptions {
  /**
   * Where to begin. `now` (default); `earliest`: all the switchboard still holds (10,000 events, 16 MiB); the events
   * after a seq; the last so many. What is asked for and no longer held shows in the first event's `missed`. They come at
   * the pace of the link, not of their reader: one that awaits something between them needs a `maxQueued` that holds them.
   */
  readonly from?: 'now' | 'earliest' | { readonly after: number } | { readonly last: number } | undefined
  /** Events that may wait for this subscriber. Default 1000; 8 MiB besides. */
  readonly maxQueued?: number | undefined
  /** At that bound: lose the oldest (default), lose the newest, or end with `OVERLOADED`. Losses show in `missed`. */
  readonly overflow?: 'drop-oldest' | 'drop-newest' | 'disconnect' | undefined
  /** Ends the subscription; the iteration ends without an error. */
  readonly signal?: AbortSignal | undefined
}

/** For one consumer; each event goes to one `next()`. Leaving the loop ends it. */
export interface Subscription<E> extends AsyncIterableIterator<E, undefined>, AsyncDisposable {
  /**
   * The seq after which every matching event of others is seen. Never an unhandled rejection. It has no deadline, so it
   * doesn't keep a member of `ref: false` alive: where nothing else does, a program that awaits it at top level ends with
   * Node's exit code 13. Then `member.ref()` first, or `await member.inspect()`, which is answered after it.
   */
  readonly ready: Promise<number>
  /** No more events come in; those queued are still delivered. Idempotent. */
  close(): Promise<void>
}

/** Topics with a leading `$` are the system's, and `>` or `*` in front do not match them (MQTT's rule). */
export interface SystemEvents {
  readonly '$member.joined': { readonly data: Schema<MemberRef> }
  readonly '$member.left': { readonly data: Schema<MemberRef & { readonly cause: 'closed' | 'died' | 'evicted' }> }
  readonly '$primary.changed': { readonly data: Schema<MemberRef> }
  /** What one commit changed in one table; or `resync`: anything may have changed, look again. */
  readonly '$db.changed': { readonly data: Schema<DatabaseChange> }
}

/** Keys as they travel: a bigint is `{ i }` with its digits, bytes are `{ b }` in base64. */
export type DatabaseChange =
  | {
      readonly type: 'changed'
      readonly table: string
      readonly operation: 'insert' | 'update' | 'delete'
      /** Rows. */
      readonly count: number
      /** Primary keys, a list for those of several columns; left out for a table without one, or when there are too many. */
      readonly keys?: readonly unknown[] | undefined
    }
  | { readonly type: 'resync'; readonly reason: 'term' | 'schema' | 'foreign' | 'many' }

/*
 * Topics and patterns in types. `S` is the events section of a contract: `{ [topic or pattern]: { data: Schema } }`.
 */

type Match<P extends string, T extends string> = P extends '>'
  ? true
  : P extends `${infer A}.${infer PR}`
    ? T extends `${infer B}.${infer TR}`
      ? A extends '*' | B
        ? Match<PR, TR>
        : B extends '*'
          ? Match<PR, TR>
          : false
      : false
    : T extends `${string}.${string}`
      ? false
      : P extends '*' | T
        ? true
        : T extends '*'
          ? true
          : false

type Concrete<T extends string> = T extends `${infer A}*${infer B}`
  ? `${A}${string}${Concrete<B>}`
  : T extends `${infer A}>`
    ? `${A}${string}`
    : T

/** What may be published. */
export type TopicIn<S> = Concrete<Name<S>>

type KeyOf<S, T extends string> = T extends Name<S> ? T : { [K in Name<S>]: T extends Concrete<K> ? K : never }[Name<S>]

/** What is published under a topic. */
export type DataIn<S, T extends string> =
  string extends Name<S> ? unknown : S[KeyOf<S, T>] extends { readonly data: infer D } ? In<D> : unknown

type Token<A extends string> = A extends '*' ? string : A | '*'
type Wild<T extends string> = T extends `${infer A}.${infer B}` ? `${Token<A>}.${Wild<B>}` | '>' : Token<T> | '>'

/** What may be subscribed to. With a leading `*` the rest is not checked. */
export type PatternIn<S> =
  | '>'
  | '*'
  | '$member.*'
  | keyof SystemEvents
  | TopicIn<S>
  | `*.${string}`
  | (Name<S> extends infer T ? (T extends `${infer A}.${infer B}` ? `${A}.${Wild<B>}` : never) : never)

type Either<S, P extends string> = P extends `$${string}` ? SystemEvents : S

type Matching<E, P extends string> =
  P extends Name<E>
    ? P
    : string extends P
      ? Name<E>
      : string extends Name<E>
        ? string
        : { [T in Name<E>]: Match<P, T> extends true ? T : never }[Name<E>]

type EventIn<E, T> = T extends string
  ? Event<Concrete<T>, T extends keyof E ? (E[T] extends { readonly data: infer D } ? Out<D> : unknown) : unknown>
  : never

/** The events that a pattern brings: a union that `topic` tells apart. */
export type EventsFor<S, P extends string> = EventIn<Either<S, P>, Matching<Either<S, P>, P>>
