import type { In, Name, Out, Schema } from '../wire/schema.ts'

/** Routing, repeatability and patience belong to the method, not to each call of it. */
export interface MethodSpec {
  /** Checked where the call arrives: `INVALID_PARAMS`. Without it the method takes none. */
  readonly params?: Schema | undefined
  /** Checked where the handler returns: `INVALID_RESULT`. Without it the method answers nothing. */
  readonly result?: Schema | undefined
  /** Makes the handler an async generator, and `stream()` the way to call it. */
  readonly yields?: Schema | undefined
  /** Who answers: the primary (default), or any member that offers the method, others before the primary. */
  readonly to?: 'primary' | 'any' | undefined
  /** True: a call whose answer was lost with the primary or the callee is repeated. Default false: `CALLEE_LOST`, `DISCONNECTED`. */
  readonly idempotent?: boolean | undefined
  /** Default deadline of a call, in milliseconds: 30,000 unless set. */
  readonly timeoutMs?: number | undefined
  /**
   * True: params, result and items are secrets. What doesn't fit their schemas is refused without saying where and why,
   * since that may quote them; nothing of ours prints them. What a handler throws travels as it is. Default false.
   */
  readonly sensitive?: boolean | undefined
}

export interface EventSpec {
  /** Checked where the event is published. */
  readonly data: Schema
  /** Without effect in this version, which keeps no log: consumers that come back get what the switchboard still holds. */
  readonly durable?: boolean | undefined
  /**
   * True: the data is a secret. It goes to subscribers as always, with `event.sensitive`; `conclave tail` shows
   * `[sensitive]` in its place, and a refusal doesn't say where and why the data doesn't fit. Default false.
   */
  readonly sensitive?: boolean | undefined
}

/** A stored procedure: runs in the primary, in a transaction of its own. */
export type WriteSpec = Pick<MethodSpec, 'params' | 'result' | 'sensitive'>

/** Plain objects of Standard Schemas. A section left out stays open: any name, unknown values. */
export interface Contract {
  readonly methods?: Readonly<Record<string, MethodSpec>> | undefined
  /** By topic. A key may be a pattern: `'log.*'` types every topic that it matches. */
  readonly events?: Readonly<Record<string, EventSpec>> | undefined
  readonly writes?: Readonly<Record<string, WriteSpec>> | undefined
}

/** What a member without a contract knows: nothing, so everything is allowed and nothing is typed. */
export interface Open {
  readonly methods: Readonly<Record<string, MethodSpec>>
  readonly events: Readonly<Record<string, EventSpec>>
  readonly writes: Readonly<Record<string, WriteSpec>>
}

/** The contract without its schema library: what is left to know is which types go in and come out. */
export type Plain<S> = {
  readonly [K in keyof S]: {
    readonly [N in keyof S[K]]: {
      readonly [F in keyof S[K][N]]: S[K][N][F] extends Schema<infer I, infer O> ? Schema<I, O> : S[K][N][F]
    }
  }
}

/**
 * Identity at run time. The type forgets the schema library, so a package's .d.ts stays short and its users need none
 * of it: `member.with<typeof contract>()` works with types alone.
 */
export function defineContract<const S extends Contract>(spec: S): Plain<S> {
  return spec as unknown as Plain<S>
}

type Section<C, K extends keyof Open> = C extends { readonly [P in K]: infer S extends object } ? S : Open[K]
export type Methods<C> = Section<C, 'methods'>
export type Events<C> = Section<C, 'events'>
export type Writes<C> = Section<C, 'writes'>

/** Tells "no contract was given" from one that was. */
export type Given<C, IfNot, IfSo> = Open extends C ? IfNot : IfSo

/** The further method names a member with inferred methods may call: others may offer more than it knows. */
export type Extra<C> = C extends { readonly inferred: true } ? string & {} : never

/** Methods that may be called with `stream()`. */
export type Streaming<C> =
  string extends Name<Methods<C>>
    ? string
    : { [K in Name<Methods<C>>]: Methods<C>[K] extends { readonly yields: Schema } ? K : never }[Name<Methods<C>>]

/** What a caller passes. */
export type Params<C, K> = K extends keyof Methods<C>
  ? Methods<C>[K] extends { readonly params: infer S }
    ? In<S>
    : string extends Name<Methods<C>>
      ? unknown
      : undefined
  : unknown

/** What a caller gets. */
export type Result<C, K> = K extends keyof Methods<C>
  ? Methods<C>[K] extends { readonly result: infer S }
    ? Out<S>
    : string extends Name<Methods<C>>
      ? unknown
      : void
  : unknown

/** What a stream yields to its caller. */
export type Item<C, K> = K extends keyof Methods<C>
  ? Methods<C>[K] extends { readonly yields: infer S }
    ? Out<S>
    : unknown
  : unknown

/** The rest of a call's arguments: parameters may be left out only where the method takes none, or anything. */
export type Args<P, O> = undefined extends P
  ? [params?: P, options?: O]
  : unknown extends P
    ? [params?: P, options?: O]
    : [params: P, options?: O]
