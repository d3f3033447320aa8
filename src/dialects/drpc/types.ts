import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf'
import type { PeerCredentials } from '../../transport/index.ts'

/** A message schema of @bufbuild/protobuf, or `undefined` for raw bytes. */
export type Schema = DescMessage | undefined

/** What a receiver gets. */
export type Decoded<S extends Schema> = S extends DescMessage ? MessageShape<S> : Uint8Array

/** What a sender gives: a message or what one is made of; bytes, or nothing. */
export type Encodable<S extends Schema> = S extends DescMessage ? MessageInitShape<S> : Uint8Array | undefined | void

/** One connection, as a handler sees it. */
export interface Session {
  /** Counted from 1 by its server. */
  readonly id: number
  /** Who the kernel says is there. */
  readonly peer: PeerCredentials
  readonly closed: boolean
  /** At once: calls that run are aborted, answers that wait are dropped. */
  close(): void
}

export interface CallContext {
  readonly session: Session
  /** The same as `session.peer`. */
  readonly caller: PeerCredentials
  readonly module: number
  readonly method: number
  readonly sequence: bigint
  /** Aborts when the caller has left, its session is closed, or the server shuts down without waiting. */
  readonly signal: AbortSignal
}

export interface MethodDefinition<Req extends Schema = any, Res extends Schema = any> {
  readonly id: number
  /** Default: its key in the module. */
  readonly name?: string
  /** Without it the handler gets the bytes of the body. */
  readonly request?: Req
  /** Without it the handler returns the bytes of the body. */
  readonly response?: Res
  /**
   * What it throws becomes a status: that of `newFailure()` and its relatives, FAILURE for all else. Bytes that it returns
   * are not copied: leave them as they are.
   */
  handle?(request: Decoded<Req>, context: CallContext): Encodable<Res> | Promise<Encodable<Res>>
}

/** A method that knows its module: what `ClientConnection.call` takes. */
export interface Method<Req extends Schema = any, Res extends Schema = any> extends MethodDefinition<Req, Res> {
  readonly module: number
  readonly name: string
}

/** Any of them. Says no more, so that each method of a list keeps its own types. */
export interface AnyMethod {
  readonly id: number
  readonly name?: string
}

export type MethodDefinitions = Readonly<Record<string, AnyMethod>>

type RequestOf<M> = M extends { readonly request?: infer S } ? (S extends DescMessage ? S : undefined) : undefined
type ResponseOf<M> = M extends { readonly response?: infer S } ? (S extends DescMessage ? S : undefined) : undefined
type Bound<M> = Method<RequestOf<M>, ResponseOf<M>>

/** Gets the calls that no method of the module is for. */
export type HandleCall = (
  method: number,
  body: Uint8Array,
  context: CallContext,
) => Uint8Array | undefined | void | Promise<Uint8Array | undefined | void>

export interface ModuleDefinition<M extends MethodDefinitions = MethodDefinitions> {
  readonly id: number
  readonly name?: string
  readonly methods?: M
  readonly handleCall?: HandleCall
}

export interface Module<M extends MethodDefinitions = any> {
  readonly id: number
  readonly name: string
  readonly methods: { readonly [K in keyof M]: Bound<M[K]> }
  readonly handleCall: HandleCall | undefined
}
