import type { ConclaveError } from '../errors/index.ts'
import type { Frame } from '../wire/frame.ts'
import type { MemberRef } from '../wire/peers.ts'
import { FLAG } from '../wire/frame.ts'
import { ByNumber } from './by-number.ts'
import { STREAM_WINDOW_BYTES } from './limits.ts'

/** Another member, as a callee sees it: it keeps its identity while its slot changes with each term. */
export class Peer {
  ref: MemberRef
  /** 0 while it is not connected in this term. */
  slot = 0
  /** Its calls that run here, or whose result is kept, by number. */
  readonly runs: ByNumber<Run> = new ByNumber()

  constructor(ref: MemberRef) {
    this.ref = ref
  }
}

/** A request as its handler sees it. */
export interface IncomingRequest {
  readonly method: string
  readonly params: unknown
  readonly caller: MemberRef
  /** Aborts when the caller gives up or disconnects. Made on first use: most handlers never look. */
  readonly signal: AbortSignal
  /** CLOCK_MONOTONIC, milliseconds; Infinity for none. */
  readonly deadline: number
  /** 1 for the first; more when the call was repeated after a loss. */
  readonly attempt: number
  readonly traceparent: string | undefined
  /** Its handler has ended. */
  readonly over: boolean
}

/** One request that runs here, or has run and is kept for a repeat. */
export class Run implements IncomingRequest {
  readonly peer: Peer
  readonly number: number
  readonly flags: number
  readonly deadline: number
  readonly method: string
  readonly traceparent: string | undefined
  params: unknown
  attempt: number
  ended = false
  over = false
  /** The answer, kept for a repeat of an idempotent call. */
  kept: Frame | undefined = undefined
  /** Bytes of items that may still be sent. */
  credit: number = STREAM_WINDOW_BYTES
  onCredit: (() => void) | undefined = undefined
  onExpired: ((run: Run) => void) | undefined = undefined
  place: number | undefined = undefined
  #controller: AbortController | undefined
  #reason: ConclaveError | undefined

  constructor(peer: Peer, frame: Frame, method: string, traceparent: string | undefined, params: unknown) {
    this.peer = peer
    this.number = frame.number
    this.flags = frame.flags
    this.deadline = frame.time
    this.attempt = frame.b
    this.method = method
    this.traceparent = traceparent
    this.params = params
  }

  get caller(): MemberRef {
    return this.peer.ref
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#reason !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  get aborted(): boolean {
    return this.#reason !== undefined
  }

  /** Why it was aborted. */
  get reason(): ConclaveError | undefined {
    return this.#reason
  }

  get idempotent(): boolean {
    return (this.flags & FLAG.IDEMPOTENT) !== 0
  }

  get streaming(): boolean {
    return (this.flags & FLAG.STREAM) !== 0
  }

  /** Nobody waits for the answer. */
  get silent(): boolean {
    return (this.flags & FLAG.NOTIFY) !== 0
  }

  abort(reason: ConclaveError): void {
    if (this.#reason !== undefined || this.ended) return
    this.#reason = reason
    this.#controller?.abort(reason)
    this.onCredit?.()
  }

  expired(): void {
    this.onExpired?.(this)
  }
}
