import type { ConclaveError } from '../errors/index.ts'
import type { MemberRef } from '../wire/peers.ts'
import type { In, Name, Schema } from '../wire/schema.ts'
import type { Methods } from './contract.ts'

/** Where a call goes. A name held by two members is `AMBIGUOUS_TARGET`; an id never is. */
export type To = 'primary' | 'any' | { readonly id: string } | { readonly name: string }

/** Where a gathered call or a notification goes: everybody, everybody else, all of one name, or these. */
export type ToMany = 'all' | 'others' | { readonly name: string } | { readonly ids: readonly string[] }

/** Every wait ends in one of these ways: `ABORTED` with the signal's reason, or `TIMEOUT`. */
export interface Wait {
  readonly signal?: AbortSignal | undefined
  /** In milliseconds. Time during which the caller's own event loop was blocked does not count. */
  readonly timeoutMs?: number | undefined
}

export interface CallOptions extends Wait {
  /** Default: as the method's contract or its offer says, else the primary. */
  readonly to?: To | undefined
  /** Default: as the method's contract says, else false. */
  readonly idempotent?: boolean | undefined
}

export interface GatherOptions extends Wait {
  /** Default: all that offer the method, oneself too. */
  readonly to?: ToMany | undefined
  /** Ends after so many replies with a result. */
  readonly want?: number | undefined
}

export interface NotifyOptions {
  readonly to?: To | ToMany | undefined
}

export interface OfferOptions {
  /** Where calls without a `to` of their own go. Default: as the method's contract says, else `primary`. */
  readonly to?: 'primary' | 'any' | undefined
  /** Calls that run at once in this member; the rest waits at the switchboard. Default: no bound but the link's. */
  readonly concurrency?: number | undefined
  /** Withdraws the offer, as disposing of it does. */
  readonly signal?: AbortSignal | undefined
}

/** What a handler knows of the call it serves. The member's room adds `member`. */
export interface CallContext {
  readonly caller: MemberRef
  /** Aborts when the caller gave up, went away or ran out of time. */
  readonly signal: AbortSignal
  /** Milliseconds until the caller's deadline; Infinity for a stream without one. */
  readonly remainingMs: number
  /** 1 for the first run, more when an idempotent call is repeated after a loss. */
  readonly attempt: number
  /** W3C trace context of the caller. */
  readonly traceparent: string | undefined
}

/** One member's answer to `gather`. */
export type Reply<R> = { readonly from: MemberRef } & (
  { readonly ok: true; readonly result: R } | { readonly ok: false; readonly error: ConclaveError }
)

/**
 * What a handler yields, with backpressure. Leaving the loop, `return()` or disposing cancels the handler. `result` is
 * what it returned; it needs not be awaited and is never an unhandled rejection.
 */
export interface Stream<Y, R> extends AsyncIterableIterator<Y, R>, AsyncDisposable {
  readonly result: Promise<R>
}

type Handled<M, F extends string, Else> = M extends { readonly [P in F]: infer S } ? S : Else

/** The handler of one method of a contract: gets what the schema gives back, returns what the schema takes. */
export type Handler<M, Context> = (
  params: Handled<M, 'params', undefined> extends infer P ? (P extends Schema<any, infer O> ? O : undefined) : never,
  ctx: Context,
) => M extends { readonly yields: infer Y extends Schema }
  ? AsyncGenerator<In<Y>, M extends { readonly result: infer R } ? In<R> : void, undefined>
  : (M extends { readonly result: infer R } ? In<R> : void) extends infer T
    ? T | Promise<T>
    : never

/** Handlers for some of a contract's methods; a member offers those that it gives. A contract of no methods leaves them open. */
export type HandlersOf<C, Context> =
  string extends Name<Methods<C>>
    ? AnyHandlersOf<Context>
    : { readonly [K in Name<Methods<C>>]?: Handler<Methods<C>[K], Context> }

/** Handlers without a contract: their types are what callers see. */
export type AnyHandlersOf<Context> = Readonly<Record<string, (params: any, ctx: Context) => unknown>>

/** A parameter that was not written, or not typed, may be left out by the caller. */
export type InferredParams<P> = 0 extends 1 & P ? unknown : unknown extends P ? undefined : P

/** The methods section of a contract, read off handlers. */
export type InferredMethods<M> = {
  readonly [K in keyof M as string extends K ? never : K]: M[K] extends (params: infer P, ...rest: any) => infer R
    ? Awaited<R> extends AsyncIterable<infer Y, infer T, any>
      ? { readonly params: Schema<InferredParams<P>>; readonly yields: Schema<Y>; readonly result: Schema<T> }
      : { readonly params: Schema<InferredParams<P>>; readonly result: Schema<Awaited<R>> }
    : never
}
