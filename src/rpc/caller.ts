import { ConclaveError, errorFromWire, type Outcome } from '../errors/index.ts'
import { FLAG, Frame, KIND } from '../wire/frame.ts'
import type { OutgoingTransfer } from '../wire/transfer.ts'
import { sizeOf } from './body.ts'
import { ByNumber } from './by-number.ts'
import { MAX_CALLS_IN_FLIGHT, MAX_PENDING_BYTES, MAX_PENDING_CALLS } from './limits.ts'
import { PendingCall, type CallSpec, type Reply } from './pending.ts'
import type { DeadlineWheel } from './timers.ts'

/** Who says that a call failed, in field `c` of a FAILURE: the member that was called, or the switchboard. */
export const FAILED_BY = { CALLEE: 0, SWITCHBOARD: 1 } as const

/** What a caller or a dispatcher sends its frames through: the link of the moment. */
export interface FrameSink {
  /** Takes name and body before it returns. @throws `TOO_LARGE` before anything is sent */
  send(frame: Frame): OutgoingTransfer | undefined
  /** Where in the stream the last frame ends, on links that can tell how far it went. */
  readonly position?: number | undefined
}

export interface CallerOptions {
  readonly wheel: DeadlineWheel
  /** True while the primary has been silent for too long (rule B2): an expired call then says so. */
  readonly unresponsive: () => boolean
  readonly maxPendingCalls?: number | undefined
  readonly maxPendingBytes?: number | undefined
}

export interface CallerCounters {
  calls: number
  repeated: number
  timedOut: number
  /** Answers to calls that ended before, or that nobody made (rule C4). */
  unknownReplies: number
}

/**
 * The calling side of a member: every call that has not ended. It outlives links: calls wait for the next one, are
 * repeated where that is safe, and settle as `unknown` where it is not (rule B15).
 */
export class Caller {
  readonly #wheel: DeadlineWheel
  readonly #options: CallerOptions
  /** By number, which is also the order in which they were made. */
  readonly #pending = new ByNumber<PendingCall>()
  readonly #unsent = new Set<PendingCall>()
  readonly #frame = new Frame()
  readonly counters: CallerCounters = { calls: 0, repeated: 0, timedOut: 0, unknownReplies: 0 }
  #sink: FrameSink | undefined
  /** The primary said goodbye: requests wait for its successor, what belongs to older ones still goes. */
  #held = false
  #sending = false
  #bytes = 0
  #inFlight = 0
  #number = 0
  #closed: ConclaveError | undefined

  constructor(options: CallerOptions) {
    this.#options = options
    this.#wheel = options.wheel
  }

  get pendingCount(): number {
    return this.#pending.size
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /**
   * Starts a call; every end, also a refusal, goes to `reply`, never as an exception.
   * @param flags of `FLAG`: STREAM, NOTIFY
   */
  start(spec: CallSpec, flags: number, reply: Reply): PendingCall | undefined {
    const bytes = sizeOf(spec.body)
    const refusal = this.#refusal(spec, bytes)
    if (refusal !== undefined) {
      reply.error(refusal)
      return undefined
    }
    const idempotent = spec.idempotent === true ? FLAG.IDEMPOTENT : 0
    const call = new PendingCall(++this.#number, spec, flags | idempotent, bytes, reply, this.#expired)
    this.counters.calls++
    this.#pending.add(call)
    this.#bytes += bytes
    if (call.deadline !== Infinity) this.#wheel.add(call.deadline, call)
    const { signal } = spec
    if (signal !== undefined) {
      call.onAbort = () => this.#abort(call, signal.reason)
      signal.addEventListener('abort', call.onAbort, { once: true })
    }
    // Numbers rise on a link, or a goodbye could not say by one number what was taken (rule A13).
    if (this.#unsent.size > 0 || !this.#open) this.#unsent.add(call)
    else this.#send(call)
    return call
  }

  /** A link is there: what waits goes out, in the order it was called. */
  attach(sink: FrameSink): void {
    this.#sink = sink
    this.#held = false
    this.#unsent.clear()
    for (const call of this.#pending.values()) if (!call.sent) this.#unsent.add(call)
    this.#sendWaiting()
  }

  /**
   * The primary takes no more requests after number `last`: they were not executed and wait for its successor
   * (rule A13). Answers to the others still come.
   */
  hold(last: number): void {
    this.#held = true
    for (const call of this.#pending.values()) if (call.sent && call.number > last) this.#unsend(call)
  }

  /**
   * The link is gone. Calls that the other side can't have seen whole, and repeatable ones, wait for the next link; the
   * others end with outcome `unknown`.
   * @param taken bytes of the link's stream that left this process
   */
  detach(taken: number = Infinity): void {
    this.#sink = undefined
    const lost: PendingCall[] = []
    for (const call of this.#pending.values()) {
      if (!call.sent) continue
      if (call.position > taken || call.transfer?.ended === false) this.#unsend(call)
      else if (call.repeatable) this.#repeat(call)
      else lost.push(call)
    }
    for (const call of lost) {
      const text = `The primary was lost while ${call.spec.method} ran; whether it took effect is unknown. Mark the method idempotent to have it repeated.`
      this.#fail(call, new ConclaveError('DISCONNECTED', text, { outcome: 'unknown' }))
    }
  }

  /** Ends every call; later ones are refused with the same error. */
  close(error: ConclaveError): void {
    this.#closed = error
    for (const call of this.#pending.values()) {
      if (!this.#pending.has(call.number)) continue
      this.#cancel(call)
      const details = { cause: error.cause, outcome: call.outcome }
      this.#fail(call, new ConclaveError(error.code, error.message, details))
    }
    this.#sink = undefined
  }

  /** The consumer of a stream has read all and waits for more: the patience for the next item begins. */
  waits(call: PendingCall): void {
    if (call.spec.patienceMs !== undefined && this.#pending.has(call.number)) this.#postpone(call)
  }

  /** The consumer read items of a stream: its producer may send as many bytes more. */
  credit(call: PendingCall, bytes: number): void {
    if (!call.sent || !this.#pending.has(call.number)) return
    this.#sink?.send(this.#frame.set(KIND.CREDIT, 0, 0, bytes, 0, call.number, 0))
  }

  /** Ends a call from the calling side; the handler is told. */
  cancel(call: PendingCall, error: Error): void {
    if (!this.#pending.has(call.number)) return
    this.#cancel(call)
    this.#fail(call, error)
  }

  /** A frame that answers a call: RESPONSE, FAILURE, ITEM, TAKEN. */
  receive(frame: Frame): void {
    const call = this.#pending.get(frame.number)
    if (call === undefined || !call.sent) {
      this.counters.unknownReplies++
      return
    }
    if (frame.kind === KIND.ITEM) this.#item(call, frame)
    else if (frame.kind === KIND.FAILURE) this.#failure(call, frame)
    else {
      this.#end(call)
      try {
        call.reply.result(frame)
      } catch (error) {
        call.reply.error(error as Error)
      }
    }
    this.#sendWaiting()
  }

  #refusal(spec: CallSpec, bytes: number): Error | undefined {
    if (this.#closed !== undefined) {
      return new ConclaveError(this.#closed.code, this.#closed.message, {
        cause: this.#closed.cause,
        outcome: 'not-committed',
      })
    }
    if (spec.method.includes('\0')) {
      return new ConclaveError('INVALID_REQUEST', 'A method name holds no NUL.', { outcome: 'not-committed' })
    }
    if (spec.signal?.aborted === true) return aborted(spec, 'not-committed')
    if (!(spec.deadline > this.#wheel.now())) return this.#timeout(spec, 'not-committed')
    const { maxPendingCalls = MAX_PENDING_CALLS, maxPendingBytes = MAX_PENDING_BYTES } = this.#options
    if (this.#pending.size >= maxPendingCalls) {
      const text = `${this.#pending.size} calls of this member have not ended: await some before making more.`
      return new ConclaveError('OVERLOADED', text, { outcome: 'not-committed' })
    }
    if (this.#bytes + bytes > maxPendingBytes && this.#pending.size > 0) {
      const text = `Pending calls of this member hold ${this.#bytes} bytes: await some before making more.`
      return new ConclaveError('OVERLOADED', text, { outcome: 'not-committed' })
    }
    return undefined
  }

  get #open(): boolean {
    return this.#sink !== undefined && !this.#held && this.#inFlight < MAX_CALLS_IN_FLIGHT
  }

  /** In the primary the answer may come before `send` returns. */
  #send(call: PendingCall): void {
    const sink = this.#sink!
    call.sent = true
    this.#inFlight++
    try {
      call.transfer = sink.send(call.encode(this.#frame))
      call.position = sink.position ?? 0
    } catch (error) {
      if (!this.#pending.has(call.number)) return
      this.#inFlight--
      call.sent = false
      this.#fail(call, notSent(error as Error, call.outcome))
    }
  }

  #sendWaiting(): void {
    if (this.#sending || this.#unsent.size === 0) return
    this.#sending = true
    for (const call of this.#unsent) {
      if (!this.#open) break
      this.#unsent.delete(call)
      this.#send(call)
    }
    this.#sending = false
  }

  #unsend(call: PendingCall): void {
    if (call.transfer?.ended === false) call.transfer.abort()
    call.sent = false
    call.transfer = undefined
    this.#inFlight--
    this.#unsent.add(call)
  }

  #repeat(call: PendingCall): void {
    this.#unsend(call)
    call.attempt++
    this.counters.repeated++
    call.reply.again?.()
  }

  #item(call: PendingCall, frame: Frame): void {
    if (!call.streaming || call.reply.item === undefined) {
      this.counters.unknownReplies++
      return
    }
    if (call.spec.patienceMs !== undefined) this.#postpone(call)
    try {
      call.reply.item(frame)
    } catch (error) {
      this.cancel(call, error as Error)
    }
  }

  /** The patience of a stream is for its next item. */
  #postpone(call: PendingCall): void {
    this.#wheel.remove(call)
    call.deadline = this.#wheel.now() + call.spec.patienceMs!
    this.#wheel.add(call.deadline, call)
  }

  #failure(call: PendingCall, frame: Frame): void {
    let error: ConclaveError
    try {
      error = errorFromWire(JSON.parse(frame.text))
    } catch (cause) {
      error = new ConclaveError('PROTOCOL', `The error of ${call.spec.method} is not JSON.`, {
        cause,
        outcome: 'unknown',
      })
    }
    // Only what the switchboard itself says: a handler may have passed on the loss of a call of its own.
    const bySwitchboard = frame.c === FAILED_BY.SWITCHBOARD
    if (bySwitchboard && error.code === 'PRIMARY_LOST' && error.outcome === 'not-committed' && this.#held) {
      this.#unsend(call)
    } else if (bySwitchboard && error.code === 'CALLEE_LOST' && call.repeatable && this.#wheel.now() < call.deadline) {
      this.#repeat(call)
    } else this.#fail(call, call.attempt > 1 && error.outcome === 'not-committed' ? doubtful(error) : error)
  }

  readonly #expired = (call: PendingCall): void => {
    if (!this.#pending.has(call.number)) return
    // A reader that has not read what is there is not waiting for the producer.
    if (call.spec.patienceMs !== undefined && call.reply.unread?.() === true) {
      this.#postpone(call)
      return
    }
    this.counters.timedOut++
    this.#cancel(call)
    this.#fail(call, this.#timeout(call.spec, call.outcome))
  }

  #timeout(spec: CallSpec, outcome: 'unknown' | 'not-committed'): ConclaveError {
    if (this.#options.unresponsive()) {
      const text = `The primary has been silent since before ${spec.method} ran out of time: it is stopped or busy. Look at it with \`conclave status\`.`
      return new ConclaveError('PRIMARY_UNRESPONSIVE', text, { outcome })
    }
    const known = outcome === 'unknown' ? 'whether it took effect is unknown' : 'it was not sent'
    return new ConclaveError('TIMEOUT', `${spec.method} was not answered before its deadline; ${known}.`, { outcome })
  }

  #abort(call: PendingCall, reason: unknown): void {
    if (!this.#pending.has(call.number)) return
    this.#cancel(call)
    this.#fail(call, aborted(call.spec, call.outcome, reason))
  }

  /** Tells the callee that nobody waits any more. */
  #cancel(call: PendingCall): void {
    if (!call.sent || this.#sink === undefined) return
    if (call.transfer !== undefined && !call.transfer.ended) call.transfer.abort()
    this.#sink.send(this.#frame.set(KIND.CANCEL, 0, 0, 0, 0, call.number, 0))
  }

  #fail(call: PendingCall, error: Error): void {
    this.#end(call)
    call.reply.error(error)
  }

  #end(call: PendingCall): void {
    if (!this.#pending.delete(call.number)) return
    this.#unsent.delete(call)
    if (call.sent) this.#inFlight--
    this.#bytes -= call.bytes
    if (call.deadline !== Infinity) this.#wheel.remove(call)
    if (call.onAbort !== undefined) call.spec.signal?.removeEventListener('abort', call.onAbort)
    if (this.#closed === undefined) this.#sendWaiting()
  }
}

/** Who refuses a repeat knows nothing of the attempt that was lost. */
function doubtful({ code, message, key, reason, data }: ConclaveError): ConclaveError {
  const text = `${message} An earlier attempt was lost; whether it took effect is unknown.`
  return new ConclaveError(code, text, { outcome: 'unknown', key, reason, data })
}

function aborted(
  spec: CallSpec,
  outcome: 'unknown' | 'not-committed',
  reason: unknown = spec.signal?.reason,
): ConclaveError {
  const known = outcome === 'unknown' ? 'its handler was told; whether it took effect is unknown' : 'it was not sent'
  return new ConclaveError('ABORTED', `${spec.method} was aborted; ${known}.`, { cause: reason, outcome })
}

/** What was refused before a byte of it left says so, unless an earlier attempt got further. */
function notSent(error: Error, outcome: Outcome): Error {
  if (!ConclaveError.is(error) || error.outcome !== undefined) return error
  const { code, message, cause, reason, data } = error
  return new ConclaveError(code, message, { cause, reason, data, outcome })
}
