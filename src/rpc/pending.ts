import type { ConclaveError } from '../errors/index.ts'
import { FLAG, Frame, KIND } from '../wire/frame.ts'
import type { OutgoingTransfer } from '../wire/transfer.ts'
import type { Target } from './address.ts'
import { joinName } from './address.ts'
import { putBody, type Body } from './body.ts'

/** What a caller sends, before it is known who answers. */
export interface CallSpec {
  /** `KIND.REQUEST`, `OFFER`, `WITHDRAW` or `QUERY`. */
  readonly kind?: number | undefined
  readonly method: string
  readonly body: Body
  readonly target: Target
  /** CLOCK_MONOTONIC, milliseconds; Infinity for none. */
  readonly deadline: number
  /** Streams: how long each item may take, in milliseconds. */
  readonly patienceMs?: number | undefined
  readonly idempotent?: boolean | undefined
  readonly traceparent?: string | undefined
  readonly signal?: AbortSignal | undefined
}

/** Where the answer to a pending call goes. Called once with an end, before it any number of times with items. */
export interface Reply {
  /** The frame is valid only during the call; what this throws becomes the call's error. */
  result(frame: Frame): void
  error(error: ConclaveError | Error): void
  item?(frame: Frame): void
  /** The call is sent once more, to another member or another primary. */
  again?(): void
  /** Whether items wait for their reader. */
  unread?(): boolean
}

/** A call that has not ended. */
export class PendingCall {
  readonly number: number
  readonly spec: CallSpec
  readonly reply: Reply
  readonly flags: number
  readonly bytes: number
  /** Moves with each item of a stream. */
  deadline: number
  attempt = 1
  sent = false
  /** Where in the link's stream its frame ends. */
  position = 0
  transfer: OutgoingTransfer | undefined = undefined
  onAbort: (() => void) | undefined = undefined
  place: number | undefined = undefined
  readonly #onExpired: (call: PendingCall) => void

  /** @param onExpired called by the deadline wheel */
  constructor(
    number: number,
    spec: CallSpec,
    flags: number,
    bytes: number,
    reply: Reply,
    onExpired: (call: PendingCall) => void,
  ) {
    this.number = number
    this.spec = spec
    this.flags = flags
    this.bytes = bytes
    this.reply = reply
    this.deadline = spec.deadline
    this.#onExpired = onExpired
  }

  expired(): void {
    this.#onExpired(this)
  }

  get repeatable(): boolean {
    return this.spec.idempotent === true || (this.spec.kind ?? KIND.REQUEST) !== KIND.REQUEST
  }

  get streaming(): boolean {
    return (this.flags & FLAG.STREAM) !== 0
  }

  /** What is known when the call ends without its answer. */
  get outcome(): 'unknown' | 'not-committed' {
    // A call that was sent before may have run, even while it waits to be repeated.
    const seen = this.attempt > 1 || (this.sent && this.transfer?.ended !== false)
    return seen ? 'unknown' : 'not-committed'
  }

  encode(frame: Frame): Frame {
    const { kind = KIND.REQUEST, method, target, traceparent, body } = this.spec
    frame.set(kind, this.flags, target.slot ?? 0, this.attempt, target.mode, this.number, this.deadline)
    frame.withName(joinName(method, target.text, traceparent))
    return putBody(frame, body)
  }
}
