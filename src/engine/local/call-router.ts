import { ConclaveError, errorToWire } from '../../errors/index.ts'
import { joinName, splitName } from '../../rpc/address.ts'
import { FAILED_BY } from '../../rpc/caller.ts'
import { MAX_CALLS_IN_FLIGHT } from '../../rpc/limits.ts'
import { FLAG, Frame, KIND, TARGET } from '../../wire/frame.ts'
import { MAX_FRAGMENT_BYTES } from '../../wire/limits.ts'
import type { FragmentSink, OutgoingTransfer } from '../../wire/transfer.ts'
import { LONG_FACTOR, MAX_LINK_BYTES, MAX_WAITING_BYTES, MAX_WAITING_CALLS } from './limits.ts'
import type { Offer, Port } from './port.ts'
import { Routes, type Directory } from './routes.ts'

/** A call between two ports. */
export interface CallRecord {
  readonly caller: Port
  readonly number: number
  readonly method: string
  readonly deadline: number
  callee: Port
  offer: Offer | undefined
  /** The caller gave up: the answer is dropped. */
  cancelled: boolean
  /** A long request, on its way to the callee. */
  request: OutgoingTransfer | undefined
  /** A long answer, or item, on its way to the caller. */
  answer: OutgoingTransfer | undefined
  /** What the callee sent since: it must not overtake. */
  later: Frame[] | undefined
  /** Among the calls that the callee answers. */
  place: number
}

export interface CallCounters {
  relayed: number
  refused: number
  /** Came after their deadline and were not passed on (rule A14). */
  expired: number
  /** Answers that match no call: late, invented, or of another member (rule C4). */
  unknownReplies: number
  calleesLost: number
}

export interface RouterLimits {
  readonly maxLinkBytes?: number | undefined
  readonly maxWaitingCalls?: number | undefined
}

interface Waiting {
  readonly caller: Port
  /** Its own copy. */
  readonly frame: Frame
  readonly method: string
  readonly bytes: number
}

/** Calls between members: whom they reach, and who is told when one of the two goes away. Bodies are not looked into. */
export class CallRouter {
  readonly counters: CallCounters = { relayed: 0, refused: 0, expired: 0, unknownReplies: 0, calleesLost: 0 }
  readonly #directory: Directory
  readonly #maxLinkBytes: number
  readonly #maxWaiting: number
  readonly #routes: Routes
  #waiting: Waiting[] = []
  #waitingBytes = 0
  readonly #frame = new Frame()

  constructor(directory: Directory, limits: RouterLimits = {}) {
    this.#directory = directory
    this.#routes = new Routes(directory)
    this.#maxLinkBytes = limits.maxLinkBytes ?? MAX_LINK_BYTES
    this.#maxWaiting = limits.maxWaitingCalls ?? MAX_WAITING_CALLS
  }

  get waitingCount(): number {
    return this.#waiting.length
  }

  get waitingBytes(): number {
    return this.#waitingBytes
  }

  offer(port: Port, offer: Offer): void {
    // It may have been offered before: what runs still counts.
    for (const record of port.serving.values()) {
      if (record.method !== offer.method) continue
      record.offer = offer
      offer.running++
    }
    this.#routes.add(port, offer)
    this.retryWaiting(offer.method)
  }

  withdraw(port: Port, method: string): void {
    this.#routes.remove(port, method)
    this.retryWaiting(method)
  }

  /** Members that offer a method. */
  offering(method: string): readonly Port[] {
    return this.#routes.offering(method)
  }

  /** A whole REQUEST. */
  request(caller: Port, frame: Frame): void {
    const waits = this.#place(caller, frame)
    if (waits !== undefined) this.#wait(caller, frame, waits)
  }

  /** Passes a request on, or refuses it. @returns its method when it has to wait */
  #place(caller: Port, frame: Frame): string | undefined {
    const refusal = this.#admit(caller, frame)
    if (refusal !== undefined) {
      this.#refuse(caller, frame.number, refusal)
      return undefined
    }
    const { method, target, traceparent } = splitName(frame)
    const route = this.#routes.find(method, target, frame)
    if (route === 'wait') return method
    if (route instanceof ConclaveError) this.#refuse(caller, frame.number, route)
    else this.#forward(caller, frame, method, traceparent, route.port, route.offer)
    return undefined
  }

  /**
   * The first fragment of a long REQUEST: passed on as it comes when its way is clear (rule B16).
   * @returns `undefined` when it has to be joined first, then `request` gets it
   */
  relay(caller: Port, frame: Frame, grant: (bytes: number) => void): FragmentSink | undefined {
    if (this.#admit(caller, frame) !== undefined) return undefined
    const { method, target, traceparent } = splitName(frame)
    const route = this.#routes.find(method, target, frame)
    if (route === 'wait' || route instanceof ConclaveError) return undefined
    const { port: callee, offer } = route
    if (!callee.takesParts || !this.#hasRoom(callee, true)) return undefined
    const record = this.#record(caller, frame, method, callee, offer)
    const out = callee.open(this.#addressed(caller, frame, method, traceparent))
    record.request = out
    out.onTaken = grant
    this.counters.relayed++
    const sink = relayTo(out, callee)
    return {
      fragment: (bytes, start, end, last, aborted, total) => {
        sink.fragment(bytes, start, end, last, aborted, total)
        // Its callee never gets the request, and will never answer it.
        if (aborted) this.#settle(record)
      },
    }
  }

  /** RESPONSE, FAILURE or ITEM. */
  reply(callee: Port, frame: Frame): void {
    const record = this.#answered(callee, frame)
    if (record === undefined) return
    const final = frame.kind !== KIND.ITEM
    if (final) this.#end(record)
    if (!record.cancelled) {
      frame.a = callee.slot
      frame.c = FAILED_BY.CALLEE
      if (record.answer === undefined) this.#pass(record, frame)
      else this.#keepBehind(record, frame)
    }
    // Last: what it sends may come by the very frame that was delivered.
    if (final) this.retryWaiting(record.method)
  }

  /** The first fragment of a long answer. */
  relayReply(callee: Port, frame: Frame, grant: (bytes: number) => void): FragmentSink | undefined {
    const record = this.#answered(callee, frame)
    if (record === undefined || record.cancelled || record.answer !== undefined || !record.caller.takesParts) {
      return undefined
    }
    frame.a = callee.slot
    const out = record.caller.open(frame)
    const final = frame.kind !== KIND.ITEM
    out.onTaken = grant
    this.#answering(record, out)
    const sink = relayTo(out, record.caller)
    return {
      fragment: (bytes, start, end, last, aborted, total) => {
        sink.fragment(bytes, start, end, last, aborted, total)
        if (last && final && !aborted) this.#settle(record)
      },
    }
  }

  /** A call that was taken and will not run here: its caller repeats it at the next primary (rule A13). */
  giveBack(callee: Port, slot: number, number: number): void {
    const record = this.#directory.bySlot(slot)?.calls.get(number)
    if (record?.callee !== callee) return
    this.#end(record)
    if (record.cancelled) return
    const text = `This primary closed before ${record.method} could run: its successor takes it.`
    this.#fail(record.caller, number, new ConclaveError('PRIMARY_LOST', text, { outcome: 'not-committed' }))
  }

  cancel(caller: Port, frame: Frame): void {
    const record = caller.calls.get(frame.number)
    if (record === undefined) {
      this.#dropWaiting((waiting) => waiting.caller === caller && waiting.frame.number === frame.number)
      return
    }
    // Once is enough: a callee that does not read would have to be sent each.
    if (record.cancelled) return
    this.#giveUp(record)
    if (this.#callBack(record)) this.#settle(record)
  }

  /** Stream credit, from consumer to producer. */
  credit(caller: Port, frame: Frame): void {
    const record = caller.calls.get(frame.number)
    if (record === undefined) return
    frame.a = caller.slot
    this.#deliver(record.callee, frame)
  }

  /** The port is gone: its callers learn that it was lost, what it called is aborted. */
  forget(port: Port): void {
    for (const method of [...port.offers.keys()]) this.#routes.remove(port, method)
    this.#dropWaiting((waiting) => waiting.caller === port)
    for (const record of port.calls.values()) {
      this.#end(record)
      this.#callBack(record)
    }
    for (const record of port.serving.values()) {
      this.#end(record)
      if (record.cancelled) continue
      this.counters.calleesLost++
      this.#giveUp(record)
      const text = `${port.ref.name} (pid ${port.ref.pid}) went away while it ran ${record.method}; whether it took effect is unknown. Mark the method idempotent to have it repeated.`
      this.#fail(record.caller, record.number, new ConclaveError('CALLEE_LOST', text, { outcome: 'unknown' }))
    }
    this.retryWaiting()
  }

  /** Something changed that requests, of one method or all, may have waited for. They go in the order they came. */
  retryWaiting(method?: string): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    const kept = waiting.filter((one) => {
      if (method !== undefined && one.method !== method) return true
      this.#count(one, -1)
      const waits = !one.caller.closed && this.#place(one.caller, one.frame) !== undefined
      if (waits) this.#count(one, 1)
      return waits
    })
    // What was placed may have been answered at once, and made others wait.
    this.#waiting = [...kept, ...this.#waiting]
  }

  /** Nothing that waits here was executed: its callers are told to repeat it at the next primary (rule A13). */
  refuseAllWaiting(): void {
    const waiting = this.#waiting
    this.#waiting = []
    const text = 'This primary closed before the call could run: its successor takes it.'
    const error = new ConclaveError('PRIMARY_LOST', text, { outcome: 'not-committed' })
    for (const one of waiting) {
      this.#count(one, -1)
      this.#fail(one.caller, one.frame.number, error)
    }
  }

  #count({ caller, bytes }: Waiting, change: 1 | -1): void {
    caller.waitingCalls += change
    this.#waitingBytes += change * bytes
  }

  #admit(caller: Port, frame: Frame): ConclaveError | undefined {
    if (!(frame.time > this.#directory.now())) {
      this.counters.expired++
      const text = `${splitName(frame).method} reached the switchboard after its deadline and was not passed on.`
      return new ConclaveError('TIMEOUT', text, { outcome: 'not-committed' })
    }
    if (caller.calls.has(frame.number)) {
      return new ConclaveError('INVALID_REQUEST', `Call ${frame.number} of this link has not ended; numbers must rise.`)
    }
    if (caller.calls.size + caller.waitingCalls < MAX_CALLS_IN_FLIGHT) return undefined
    const text = `${MAX_CALLS_IN_FLIGHT} calls of this link have not ended: wait for some of them.`
    return new ConclaveError('OVERLOADED', text, { outcome: 'not-committed' })
  }

  #forward(
    caller: Port,
    frame: Frame,
    method: string,
    traceparent: string | undefined,
    callee: Port,
    offer: Offer | undefined,
  ): void {
    if (!this.#hasRoom(callee, frame.bodyBytes() > MAX_FRAGMENT_BYTES)) {
      const text = `${callee.queuedBytes + callee.longBytes} bytes wait for ${callee.ref.name} (pid ${callee.ref.pid}), which does not read: it is stopped or busy.`
      this.#refuse(caller, frame.number, new ConclaveError('OVERLOADED', text, { outcome: 'not-committed' }))
      return
    }
    const { number } = frame
    const silent = (frame.flags & FLAG.NOTIFY) !== 0
    // Before it goes: the primary's own member may refuse it at once.
    const record = silent ? undefined : this.#record(caller, frame, method, callee, offer)
    try {
      const request = callee.send(this.#addressed(caller, frame, method, traceparent))
      if (record !== undefined) record.request = request
    } catch (error) {
      if (record !== undefined) this.#end(record)
      this.#refuse(caller, number, error as ConclaveError)
      return
    }
    this.counters.relayed++
    // Last: a member that learns it may send what waited, in the very frame that was passed on here.
    if (silent) this.#taken(caller, number)
  }

  /** The frame as the callee gets it: the caller's slot in `a`, the target gone from the name. */
  #addressed(caller: Port, frame: Frame, method: string, traceparent: string | undefined): Frame {
    frame.a = caller.slot
    if (frame.c === TARGET.ID || frame.c === TARGET.NAME) frame.nameText = joinName(method, undefined, traceparent)
    return frame
  }

  #record(caller: Port, frame: Frame, method: string, callee: Port, offer: Offer | undefined): CallRecord {
    const record: CallRecord = {
      caller,
      number: frame.number,
      method,
      deadline: frame.time,
      callee,
      offer,
      cancelled: false,
      request: undefined,
      answer: undefined,
      later: undefined,
      place: -1,
    }
    caller.calls.add(record)
    callee.serving.add(record)
    if (offer !== undefined) offer.running++
    return record
  }

  #answered(callee: Port, frame: Frame): CallRecord | undefined {
    const record = this.#directory.bySlot(frame.a)?.calls.get(frame.number)
    if (record?.callee === callee) return record
    this.counters.unknownReplies++
    return undefined
  }

  #end(record: CallRecord): void {
    const { calls } = record.caller
    if (calls.get(record.number) === record) calls.delete(record.number)
    if (record.callee.serving.delete(record) && record.offer !== undefined) record.offer.running--
  }

  /** Ends a call; what waited for its place may go. */
  #settle(record: CallRecord): void {
    this.#end(record)
    this.retryWaiting(record.method)
  }

  /** Nobody reads the answer any more. */
  #giveUp(record: CallRecord): void {
    record.cancelled = true
    for (const frame of record.later ?? []) record.caller.laterBytes -= frame.bodyBytes()
    record.later = undefined
    if (record.answer === undefined) return
    record.answer.abort()
    record.caller.pump()
  }

  /**
   * Takes a request back, or has it aborted. A CANCEL would overtake what of a long request has not gone out, and the
   * callee would run it for nobody.
   * @returns whether the callee never gets it, and will never answer
   */
  #callBack({ callee, caller, number, request }: CallRecord): boolean {
    const taken = request !== undefined && !request.ended
    if (taken) {
      request.abort()
      callee.pump()
    } else callee.send(this.#frame.set(KIND.CANCEL, 0, caller.slot, 0, 0, number, 0))
    return taken
  }

  #hasRoom(callee: Port, long: boolean): boolean {
    if (callee.queuedBytes > this.#maxLinkBytes) return false
    return !long || callee.longBytes <= this.#maxLinkBytes * LONG_FACTOR
  }

  /** What comes after a long answer must not overtake it. */
  #keepBehind(record: CallRecord, frame: Frame): void {
    const { caller } = record
    if (caller.isStuck(this.#maxLinkBytes)) {
      caller.cutOff()
      return
    }
    caller.laterBytes += frame.bodyBytes()
    ;(record.later ??= []).push(frame.clone())
  }

  /** An answer or item to the caller, in the order of the callee. */
  #pass(record: CallRecord, frame: Frame): void {
    const out = this.#deliver(record.caller, frame)
    if (out !== undefined && !out.ended) this.#answering(record, out)
  }

  #answering(record: CallRecord, out: OutgoingTransfer): void {
    record.answer = out
    out.onEnd = () => {
      record.answer = undefined
      while (record.later !== undefined && record.later.length > 0 && record.answer === undefined) {
        const next = record.later.shift()!
        record.caller.laterBytes -= next.bodyBytes()
        this.#pass(record, next)
      }
    }
  }

  /** Answers are never dropped: a link that lets too many wait is closed, and its calls settle by that (rule B17). */
  #deliver(port: Port, frame: Frame): OutgoingTransfer | undefined {
    if (!port.isStuck(this.#maxLinkBytes)) return port.send(frame)
    port.cutOff()
    return undefined
  }

  #wait(caller: Port, frame: Frame, method: string): void {
    const bytes = frame.bodyBytes()
    if (this.#waiting.length >= this.#maxWaiting || this.#waitingBytes + bytes > MAX_WAITING_BYTES) {
      const text = `${this.#waiting.length} calls wait for a free member already: offer the method in more members, or call less.`
      this.#refuse(caller, frame.number, new ConclaveError('OVERLOADED', text, { outcome: 'not-committed' }))
      return
    }
    const waiting = { caller, frame: frame.clone(), method, bytes }
    this.#waiting.push(waiting)
    this.#count(waiting, 1)
  }

  #dropWaiting(which: (waiting: Waiting) => boolean): void {
    this.#waiting = this.#waiting.filter((waiting) => {
      if (!which(waiting)) return true
      this.#count(waiting, -1)
      return false
    })
  }

  #taken(caller: Port, number: number): void {
    caller.send(this.#frame.set(KIND.TAKEN, 0, 0, 0, 0, number, 0))
  }

  #refuse(caller: Port, number: number, error: ConclaveError): void {
    this.counters.refused++
    this.#fail(caller, number, error)
  }

  #fail(caller: Port, number: number, error: ConclaveError): void {
    if (caller.closed) return
    this.#deliver(
      caller,
      new Frame()
        .set(KIND.FAILURE, 0, 0, 0, FAILED_BY.SWITCHBOARD, number, 0)
        .withBody(JSON.stringify(errorToWire(error))),
    )
  }
}

function relayTo(out: OutgoingTransfer, port: Port): FragmentSink {
  return {
    fragment(bytes, start, end, last, aborted, total) {
      if (total !== undefined) out.total = total
      if (aborted) out.abort()
      else out.push(bytes.subarray(start, end), last)
      port.pump()
    },
  }
}
