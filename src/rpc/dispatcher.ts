import { ConclaveError, errorToWire } from '../errors/index.ts'
import { FLAG, Frame, KIND } from '../wire/frame.ts'
import type { MemberRef } from '../wire/peers.ts'
import type { OutgoingTransfer } from '../wire/transfer.ts'
import { splitName } from './address.ts'
import { decodeBody, encodeBody, putBody } from './body.ts'
import type { FrameSink } from './caller.ts'
import {
  CALL_TIMEOUT_MS,
  ITEM_OVERHEAD_BYTES,
  MAX_KEPT_BYTES,
  MAX_KEPT_RESULTS,
  MAX_STREAMS,
  REQUESTS_A_TURN,
} from './limits.ts'
import { Peer, Run, type IncomingRequest } from './run.ts'
import type { DeadlineWheel } from './timers.ts'

/** What the rooms above make of a user's handler: it may return a value, an async iterable, or a promise of one. */
export type RequestHandler = (request: IncomingRequest) => unknown

export interface DispatcherCounters {
  requests: number
  /** Came after their deadline and were never started (rule A14). */
  expired: number
  failed: number
  /** Repeats answered by a run in progress or a kept result (rule B15). */
  attached: number
}

/**
 * The answering side of a member. Handlers never run inside the call that receives a frame, and none runs before
 * `open()`. Runs outlive links: an idempotent one goes on, and its repeat, which comes by the next link, gets its
 * result; the others are aborted with `PRIMARY_LOST` (rule B15).
 */
export class Dispatcher {
  readonly #wheel: DeadlineWheel
  readonly #handlers = new Map<string, RequestHandler>()
  readonly #peers = new Map<string, Peer>()
  readonly #bySlot = new Map<number, Peer>()
  readonly #frame = new Frame()
  readonly counters: DispatcherCounters = { requests: 0, expired: 0, failed: 0, attached: 0 }
  #queue: Run[] = []
  #scheduled = false
  #startedThisTurn = 0
  #turnMarked = false
  #open = false
  #running = 0
  #streams = 0
  /** Notifications that run: nobody asks after them, but the end of the member aborts them. */
  readonly #silent = new Set<Run>()
  readonly #keptRuns = new Set<Run>()
  #keptBytes = 0
  #sink: FrameSink | undefined

  constructor(wheel: DeadlineWheel) {
    this.#wheel = wheel
  }

  /** Requests that run or are about to. */
  get running(): number {
    return this.#running + (this.#open ? this.#queue.length : 0)
  }

  /** @throws `CONFLICT` when the method is offered already */
  handle(method: string, handler: RequestHandler): void {
    if (this.#handlers.has(method)) {
      throw new ConclaveError('CONFLICT', `This member offers ${method} already: dispose the earlier offer first.`)
    }
    this.#handlers.set(method, handler)
  }

  remove(method: string): void {
    this.#handlers.delete(method)
  }

  /** Requests that came earlier start now. */
  open(): void {
    this.#open = true
    this.#schedule()
  }

  attach(sink: FrameSink): void {
    this.#sink = sink
  }

  /** Introduces the member behind a slot of this term. */
  introduce(slot: number, ref: MemberRef): void {
    let peer = this.#peers.get(ref.id)
    if (peer === undefined) this.#peers.set(ref.id, (peer = new Peer(ref)))
    peer.ref = ref
    peer.slot = slot
    this.#bySlot.set(slot, peer)
  }

  /** The member left this term. Its idempotent runs go on: it may come back by another link. */
  forget(slot: number): void {
    const peer = this.#bySlot.get(slot)
    if (peer === undefined) return
    this.#bySlot.delete(slot)
    if (peer.slot !== slot) return
    peer.slot = 0
    this.#forgetIdle(peer)
  }

  /** The link is gone. */
  detach(): void {
    this.#sink = undefined
    const lost = new ConclaveError('PRIMARY_LOST', 'The primary was lost; the caller of this method was told so.')
    for (const peer of this.#peers.values()) {
      for (const run of peer.runs.values()) {
        if (run.idempotent && !run.streaming) continue
        run.abort(lost)
        run.ended = true
        peer.runs.delete(run.number)
      }
      peer.slot = 0
      this.#forgetIdle(peer)
    }
    this.#bySlot.clear()
  }

  /** Aborts what runs; nothing starts any more. */
  close(reason: ConclaveError): void {
    this.#open = false
    this.#queue = []
    for (const run of this.#silent) run.abort(reason)
    this.#silent.clear()
    for (const peer of this.#peers.values()) {
      for (const run of peer.runs.values()) {
        run.abort(reason)
        if (run.kept !== undefined) this.#wheel.remove(run)
      }
      peer.runs.clear()
    }
    this.#peers.clear()
    this.#bySlot.clear()
    this.#keptRuns.clear()
    this.#sink = undefined
  }

  /** REQUEST, CANCEL or CREDIT. */
  receive(frame: Frame): void {
    if (frame.kind === KIND.REQUEST) this.#request(frame)
    else {
      const run = this.#bySlot.get(frame.a)?.runs.get(frame.number)
      if (run === undefined) return
      if (frame.kind === KIND.CANCEL) {
        run.abort(new ConclaveError('ABORTED', `The caller of ${run.method} gave up or disconnected.`))
      } else {
        run.credit += frame.b
        run.onCredit?.()
      }
    }
  }

  #request(frame: Frame): void {
    const peer = this.#bySlot.get(frame.a)
    if (peer === undefined) return
    this.counters.requests++
    const known = peer.runs.get(frame.number)
    if (known !== undefined && !known.aborted) {
      this.counters.attached++
      if (known.kept !== undefined) this.#answer(known, known.kept)
      return
    }
    // Aborted when its caller's link broke; the caller is back, and the old run must not answer for the new one.
    if (known !== undefined) known.ended = true
    const { method, traceparent } = splitName(frame)
    let params: unknown
    try {
      params = decodeBody(frame)
    } catch (error) {
      const { message } = error as Error
      this.#refuse(
        peer,
        frame,
        new ConclaveError('INVALID_PARAMS', message, { cause: error, outcome: 'not-committed' }),
      )
      return
    }
    const run = new Run(peer, frame, method, traceparent, params)
    if (run.silent) this.#silent.add(run)
    else peer.runs.add(run)
    this.#queue.push(run)
    this.#schedule()
  }

  #refuse(peer: Peer, frame: Frame, error: ConclaveError): void {
    if ((frame.flags & FLAG.NOTIFY) !== 0) return
    const body = JSON.stringify(errorToWire(error))
    this.#sink?.send(this.#frame.set(KIND.FAILURE, 0, peer.slot, 0, 0, frame.number, 0).withBody(body))
  }

  #schedule(): void {
    if (this.#scheduled || !this.#open || this.#queue.length === 0) return
    this.#scheduled = true
    if (this.#startedThisTurn < REQUESTS_A_TURN) queueMicrotask(this.#drain)
    else setImmediate(this.#drain)
  }

  /** Requests that settle in microtasks and call again would otherwise starve the sockets for ever (rule F3). */
  readonly #drain = (): void => {
    this.#scheduled = false
    if (!this.#open) return
    const queue = this.#queue
    this.#queue = []
    if (!this.#turnMarked) {
      this.#turnMarked = true
      setImmediate(() => {
        this.#turnMarked = false
        this.#startedThisTurn = 0
      })
    }
    for (let i = 0; i < queue.length; i++) {
      if (this.#startedThisTurn >= REQUESTS_A_TURN) {
        this.#queue = [...queue.slice(i), ...this.#queue]
        break
      }
      this.#startedThisTurn++
      this.#start(queue[i]!)
    }
    this.#schedule()
  }

  #start(run: Run): void {
    if (run.aborted) {
      this.#fail(run, run.reason)
      return
    }
    if (!(run.deadline > this.#wheel.now())) {
      this.counters.expired++
      const text = `${run.method} arrived after its deadline and was not started.`
      this.#fail(run, new ConclaveError('TIMEOUT', text, { outcome: 'not-committed' }))
      return
    }
    const handler = this.#handlers.get(run.method)
    if (handler === undefined) {
      const text = `No member offers ${run.method} here: check the name, or who should offer it, with \`conclave status\`.`
      this.#fail(run, new ConclaveError('METHOD_NOT_FOUND', text, { outcome: 'not-committed' }))
      return
    }
    if (run.streaming && this.#streams >= MAX_STREAMS) {
      // Before the handler: an open file that nobody begins to read would stay open.
      const text = `This member serves ${MAX_STREAMS} streams already: read or leave some of them first.`
      this.#fail(run, new ConclaveError('OVERLOADED', text, { outcome: 'not-committed' }))
      return
    }
    if (run.streaming) this.#streams++
    this.#running++
    void this.#run(run, handler)
  }

  /** Never rejects. What a handler returns at once is answered at once. */
  #run(run: Run, handler: RequestHandler): void | Promise<void> {
    try {
      const result = handler(run)
      if (!isThenable(result)) return this.#finished(run, result)
      return Promise.resolve(result).then(
        (value) => this.#finished(run, value),
        (error: unknown) => this.#threw(run, error),
      )
    } catch (error) {
      this.#threw(run, error)
    }
  }

  #over(run: Run): void {
    run.over = true
    this.#running--
    if (run.streaming) this.#streams--
  }

  #threw(run: Run, error: unknown): void {
    this.#over(run)
    this.#fail(run, error)
  }

  #finished(run: Run, value: unknown): void | Promise<void> {
    if (isAsyncIterable(value)) {
      return this.#iterate(run, value).then(
        (result) => {
          this.#over(run)
          this.#succeed(run, result)
        },
        (error: unknown) => this.#threw(run, error),
      )
    }
    this.#over(run)
    this.#succeed(run, value)
  }

  /** @returns what the iterator returned; whatever else ends it, the iterator is told */
  async #iterate(run: Run, items: AsyncIterable<unknown>): Promise<unknown> {
    let unread = 0
    let iterator: AsyncIterator<unknown> | undefined
    try {
      iterator = items[Symbol.asyncIterator]()
      for (;;) {
        const step = await iterator.next()
        if (step.done === true) return step.value
        if (run.streaming && !run.aborted) await this.#sendItem(run, step.value)
        // Items that nobody reads must not keep the sockets from being served (rule F3).
        else if (++unread % REQUESTS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
        if (run.aborted) throw run.reason!
      }
    } catch (error) {
      try {
        await iterator?.return?.()
      } catch {
        // What ended it comes first.
      }
      throw error
    }
  }

  async #sendItem(run: Run, value: unknown): Promise<void> {
    const body = encodeBody(value, `An item of ${run.method}`, 'INVALID_RESULT')
    const frame = putBody(this.#frame.set(KIND.ITEM, 0, run.peer.slot, 0, 0, run.number, 0), body)
    run.credit -= frame.bodyBytes() + ITEM_OVERHEAD_BYTES
    const transfer = this.#sink?.send(frame)
    if (transfer !== undefined && !transfer.ended) await ended(transfer)
    while (run.credit <= 0 && !run.aborted) {
      await new Promise<void>((resolve) => {
        run.onCredit = resolve
      })
      run.onCredit = undefined
    }
  }

  #succeed(run: Run, value: unknown): void {
    if (run.silent) {
      this.#drop(run)
      return
    }
    try {
      this.#reply(
        run,
        putBody(
          new Frame().set(KIND.RESPONSE, 0, 0, 0, 0, run.number, 0),
          encodeBody(value, `The result of ${run.method}`, 'INVALID_RESULT'),
        ),
      )
    } catch (error) {
      this.#fail(run, error)
    }
  }

  #fail(run: Run, error: unknown): void {
    this.counters.failed++
    if (run.silent) {
      this.#drop(run)
      return
    }
    try {
      this.#reply(run, failure(run, error))
    } catch (unsendable) {
      this.#reply(run, failure(run, unsendable))
    }
  }

  #reply(run: Run, answer: Frame): void {
    if (run.ended) return
    this.#answer(run, answer)
    run.ended = true
    run.params = undefined
    if (run.idempotent && !run.streaming && !run.aborted) this.#keep(run, answer)
    else this.#drop(run)
  }

  #answer(run: Run, answer: Frame): void {
    if (run.peer.slot === 0) return
    answer.a = run.peer.slot
    this.#sink?.send(answer)
  }

  /** Until the deadline of the call, as long as there is room. */
  #keep(run: Run, answer: Frame): void {
    const bytes = answer.bodyBytes() + ITEM_OVERHEAD_BYTES
    if (bytes > MAX_KEPT_BYTES) {
      this.#drop(run)
      return
    }
    run.kept = answer.clone()
    this.#keptRuns.add(run)
    this.#keptBytes += bytes
    run.onExpired = (expired) => this.#drop(expired)
    this.#wheel.add(Math.min(run.deadline, this.#wheel.now() + CALL_TIMEOUT_MS), run)
    for (const oldest of this.#keptRuns) {
      if (this.#keptRuns.size <= MAX_KEPT_RESULTS && this.#keptBytes <= MAX_KEPT_BYTES) break
      this.#wheel.remove(oldest)
      this.#drop(oldest)
    }
  }

  #drop(run: Run): void {
    const { peer } = run
    this.#silent.delete(run)
    if (peer.runs.get(run.number) === run) peer.runs.delete(run.number)
    if (run.kept !== undefined) {
      this.#keptRuns.delete(run)
      this.#keptBytes -= run.kept.bodyBytes() + ITEM_OVERHEAD_BYTES
      run.kept = undefined
    }
    this.#forgetIdle(peer)
  }

  /** A member that is gone, and of whose runs nothing is left. Another link may have introduced it anew. */
  #forgetIdle(peer: Peer): void {
    if (peer.slot === 0 && peer.runs.size === 0 && this.#peers.get(peer.ref.id) === peer) {
      this.#peers.delete(peer.ref.id)
    }
  }
}

function failure(run: Run, error: unknown): Frame {
  return new Frame().set(KIND.FAILURE, 0, 0, 0, 0, run.number, 0).withBody(JSON.stringify(errorToWire(error)))
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

/** An async generator, or whatever else `for await` takes: a Readable, a web stream. */
export function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator] === 'function'
  )
}

function ended(transfer: OutgoingTransfer): Promise<void> {
  return new Promise((resolve) => {
    transfer.onEnd = resolve
  })
}
