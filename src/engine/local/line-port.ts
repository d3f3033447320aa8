import { ConclaveError, type ErrorOnWire } from '../../errors/index.ts'
import { seqOf } from '../../events/position.ts'
import { decodeBody, encodeBody, putBody } from '../../rpc/body.ts'
import type { Connection } from '../../transport/transport.ts'
import { FLAG, Frame, KIND, TARGET } from '../../wire/frame.ts'
import {
  RpcBatchAnswers,
  parseRpcLine,
  rpcErrorLine,
  rpcFailure,
  rpcNotificationLine,
  rpcResult,
  rpcResultLine,
  type RpcId,
  type RpcMessage,
} from '../../wire/jsonrpc.ts'
import { encodeLine } from '../../wire/lines.ts'
import type { MemberRef } from '../../wire/peers.ts'
import type { OutgoingTransfer } from '../../wire/transfer.ts'
import { BatchWriter, type BatchPool } from '../../wire/writer.ts'
import type { FlushScheduler } from './flush.ts'
import type { Hub } from './hub.ts'
import { jsonOf, LineEvents } from './line-events.ts'
import { BURST_FACTOR, MAX_HELD_ANSWERS, MAX_LINK_BYTES } from './limits.ts'
import { Port } from './port.ts'
import type { Session } from './session.ts'
import { StallWatch } from './stall-watch.ts'

/** Where the answer to a line's request goes: a line of its own, or its place in a batch. */
interface Asked {
  readonly id: RpcId
  readonly batch: RpcBatchAnswers | undefined
}

interface AskedCall extends Asked {
  readonly method: string
  /** CLOCK_MONOTONIC, milliseconds. */
  readonly deadline: number
}

/** Milliseconds. */
export interface LinePatience {
  /** A call's. */
  readonly callMs: number
  /** With a peer that sends no more, and with one that does not close. */
  readonly lingerMs: number
}

/** A peer that speaks JSON-RPC 2.0, one message a line: it calls, publishes and subscribes from any language. */
export class LinePort extends Port {
  override readonly kind = 'lines'
  override readonly takesParts = false
  readonly #hub: Hub
  readonly #connection: Connection
  readonly #flush: FlushScheduler
  readonly #writer: BatchWriter
  readonly #patience: LinePatience
  readonly #stall: StallWatch
  readonly #frame = new Frame()
  /** In the order of their deadlines. */
  readonly #asked = new Map<number, AskedCall>()
  readonly #events: LineEvents<Asked>
  #publishing: Asked | undefined
  #number = 0
  #publishes = 0
  /** UTF-16 units of answers that wait for the rest of their batches. */
  #held = 0
  #scheduled = false
  #ending: NodeJS.Timeout | undefined
  #clock: NodeJS.Timeout | undefined
  #halfClosed = false
  #over = false

  constructor(
    slot: number,
    ref: MemberRef,
    session: Session,
    hub: Hub,
    connection: Connection,
    pool: BatchPool,
    flush: FlushScheduler,
    patience: LinePatience,
  ) {
    super(slot, ref, session)
    this.#hub = hub
    this.#connection = connection
    this.#flush = flush
    this.#patience = patience
    this.#stall = new StallWatch({
      taken: () => connection.takenBytes,
      waiting: () => this.queuedBytes,
      onStalled: () => this.close(),
    })
    this.#events = new LineEvents(hub.term, slot, ref, {
      began: (asked, result) => this.#result(asked, result),
      refused: (asked, error) => this.#refuseWith(asked, error),
      notify: (method, params, data) => this.#write(rpcNotificationLine(method, params, data)),
    })
    this.#writer = new BatchWriter(pool, (bytes, start, end) => void connection.write(bytes, start, end))
  }

  override get congested(): boolean {
    return this.#connection.bufferedBytes > 0
  }

  override get queuedBytes(): number {
    return this.#writer.pendingBytes + this.#connection.bufferedBytes
  }

  override send(frame: Frame): OutgoingTransfer | undefined {
    if (this.closed) return undefined
    switch (frame.kind) {
      case KIND.RESPONSE:
        this.#answered(frame)
        break
      case KIND.FAILURE:
        this.#failed(frame)
        break
      case KIND.PUBLISHED:
        this.#published(frame)
        break
      default:
        this.#events.receive(frame)
        // Its last subscription may have been refused, or ended.
        this.#endWhenAnswered()
    }
    return undefined
  }

  override isStuck(most: number): boolean {
    if (this.queuedBytes > most * BURST_FACTOR) return true
    if (this.queuedBytes > most) this.#stall.begin(most)
    return false
  }

  override open(): OutgoingTransfer {
    throw new TypeError('a line peer takes long bodies whole')
  }

  override pump(): void {}

  override close(): void {
    this.#stop()
    this.#connection.close()
  }

  /** One that does not close its side in turn must not keep this process. */
  override end(): void {
    this.#stop()
    this.#connection.end()
    this.#connection.unref()
    const close = (): void => this.#connection.close()
    // A turn of the loop later: what the kernel takes by now is written before the timer counts (rule B1).
    this.#ending = setTimeout(() => setImmediate(close), this.#patience.lingerMs).unref()
  }

  /** The connection is closed. */
  gone(): void {
    this.#stop()
    clearTimeout(this.#ending)
  }

  #stop(): void {
    this.#over = true
    this.#stall.end()
    clearTimeout(this.#ending)
    clearTimeout(this.#clock)
    this.flush()
  }

  flush(): void {
    this.#scheduled = false
    this.#writer.flush()
  }

  line(text: string): void {
    if (this.#over || text.trim() === '') return
    const parsed = parseRpcLine(text)
    if (parsed.kind !== 'batch') {
      this.#message(parsed, undefined)
      return
    }
    const answers = new RpcBatchAnswers(parsed, (line) => {
      this.#held -= answers.held
      this.#write(line)
    })
    for (const message of parsed.messages) this.#message(message, answers)
  }

  /** A line that can't be a message: refused under no id. */
  refuse(error: ConclaveError): void {
    this.#hub.counters.faults++
    this.#fail({ id: null, batch: undefined }, error)
  }

  /** The peer sends no more: what it asked for is still answered, within a limit. */
  halfClosed(): void {
    if (this.#over) return
    this.#halfClosed = true
    // A turn of the loop later: what came while we were busy is read, and answered, before the timer counts (rule B1).
    this.#ending = setTimeout(() => {
      setImmediate(() => setImmediate(() => this.#over || this.end()))
    }, this.#patience.lingerMs).unref()
    this.#endWhenAnswered()
  }

  #message(message: RpcMessage, batch: RpcBatchAnswers | undefined): void {
    switch (message.kind) {
      case 'invalid':
        this.#hub.counters.faults++
        this.#fail({ id: message.id, batch }, message.error)
        return
      case 'answer':
        this.#hub.calls.counters.unknownReplies++
        return
      case 'notification':
        this.#request(undefined, message.method, message.params)
        return
      case 'request':
        this.#request({ id: message.id, batch }, message.method, message.params)
    }
  }

  #request(asked: Asked | undefined, method: string, params: unknown): void {
    if (this.#hub.draining) {
      const error = new ConclaveError('PRIMARY_LOST', 'This primary is closing: look for its successor and repeat.', {
        outcome: 'not-committed',
      })
      if (asked !== undefined) this.#fail(asked, error)
      return
    }
    const number = ++this.#number
    try {
      this.#route(number, method, params, asked)
    } catch (error) {
      this.#asked.delete(number)
      if (asked !== undefined) this.#fail(asked, error)
    }
  }

  #route(number: number, method: string, params: unknown, asked: Asked | undefined): void {
    const own = (params ?? {}) as Record<string, unknown>
    switch (method) {
      case 'conclave.status':
        this.#ask(number, method, asked)
        this.#hub.receive(this, this.#frame.set(KIND.QUERY, 0, 0, 0, 0, number, 0).withName('inspect'))
        return
      case 'conclave.publish':
        return this.#publish(own, asked)
      case 'conclave.subscribe':
        return this.#subscribe(own, asked)
      case 'conclave.unsubscribe': {
        const { subscription } = own
        if (typeof subscription !== 'number' || !this.#events.end(subscription)) {
          throw invalidParams('There is no such subscription: give the number that conclave.subscribe returned.')
        }
        this.#hub.receive(this, this.#frame.set(KIND.UNSUBSCRIBE, 0, 0, subscription, 0, 0, 0))
        return this.#result(asked, true)
      }
      default: {
        if (method === '' || method.includes('\0')) throw invalidParams('A method name is not empty and holds no NUL.')
        const flags = asked === undefined ? FLAG.NOTIFY : 0
        const deadline = this.#ask(number, method, asked)
        const frame = this.#frame.set(KIND.REQUEST, flags, 0, 1, TARGET.DEFAULT, number, deadline).withName(method)
        this.#hub.receive(this, putBody(frame, encodeBody(params, 'The params')))
      }
    }
  }

  /** Notes who waits for the answer. @returns until when */
  #ask(number: number, method: string, asked: Asked | undefined): number {
    const { callMs } = this.#patience
    const deadline = this.#hub.now() + callMs
    if (asked === undefined) return deadline
    this.#asked.set(number, { ...asked, method, deadline })
    this.#clock ??= setTimeout(this.#late, callMs).unref()
    return deadline
  }

  /** Nobody else ends a call whose callee never answers. What came while our loop was busy is read first (rule B1). */
  readonly #late = (): void => {
    setImmediate(() => {
      this.#clock = undefined
      if (this.#over) return
      const now = this.#hub.now()
      for (const [number, asked] of this.#asked) {
        if (asked.deadline > now) {
          this.#clock = setTimeout(this.#late, asked.deadline - now + 1).unref()
          return
        }
        this.#asked.delete(number)
        this.#hub.receive(this, this.#frame.set(KIND.CANCEL, 0, 0, 0, 0, number, 0))
        const text = `${asked.method} was not answered before its deadline; whether it took effect is unknown.`
        this.#fail(asked, new ConclaveError('TIMEOUT', text, { outcome: 'unknown' }))
      }
    })
  }

  /** Acknowledged, or refused, before `receive` returns. */
  #publish({ topic, data, sensitive = false }: Record<string, unknown>, asked: Asked | undefined): void {
    if (typeof topic !== 'string' || typeof sensitive !== 'boolean') {
      throw invalidParams('conclave.publish needs { topic, data }, and sensitive may be true or false.')
    }
    const flags = sensitive ? FLAG.SENSITIVE : 0
    const frame = this.#frame.set(KIND.PUBLISH, flags, 0, 0, 0, ++this.#publishes, Date.now()).withName(topic)
    this.#publishing = asked
    this.#hub.receive(this, putBody(frame, encodeBody(data, 'The data')))
    this.#publishing = undefined
  }

  #subscribe(params: Record<string, unknown>, asked: Asked | undefined): void {
    const { pattern, from, maxQueued, overflow } = params
    if (typeof pattern !== 'string') throw invalidParams('conclave.subscribe needs { pattern }.')
    // Nobody could tell what its events are of.
    if (asked === undefined) return
    const body = encodeBody({ from: from ?? 'now', maxQueued, overflow }, 'The params')
    const frame = this.#frame.set(KIND.SUBSCRIBE, 0, 0, this.#events.begin(asked), 0, 0, 0).withName(pattern)
    this.#hub.receive(this, putBody(frame, body))
  }

  #published(frame: Frame): void {
    const asked = this.#publishing
    this.#publishing = undefined
    if (asked === undefined) return
    if (frame.hasBody) this.#refuseWith(asked, JSON.parse(frame.text) as ErrorOnWire)
    else this.#result(asked, { seq: seqOf(this.#hub.term, frame.c) })
  }

  #answered(frame: Frame): void {
    const asked = this.#take(frame.number)
    if (asked === undefined) return
    let json: string
    try {
      json = jsonOf(frame)
    } catch (error) {
      this.#fail(asked, error)
      return
    }
    this.#reply(asked, rpcResultLine(asked.id, json))
  }

  #failed(frame: Frame): void {
    const asked = this.#take(frame.number)
    if (asked === undefined) return
    let error: Partial<ErrorOnWire> | null
    try {
      error = decodeBody(frame) as typeof error
    } catch (cause) {
      this.#fail(asked, cause)
      return
    }
    if (Number.isInteger(error?.code) && typeof error?.message === 'string') {
      this.#reply(asked, rpcErrorLine(asked.id, frame.text))
    } else {
      const text = 'The error of an answer is no JSON-RPC error: its sender is at fault.'
      this.#fail(asked, new ConclaveError('PROTOCOL', text, { outcome: 'unknown' }))
    }
  }

  #take(number: number): Asked | undefined {
    const asked = this.#asked.get(number)
    this.#asked.delete(number)
    return asked
  }

  #result(asked: Asked | undefined, result: unknown): void {
    if (asked !== undefined) this.#reply(asked, encodeLine(rpcResult(asked.id, result)))
  }

  #fail(asked: Asked, error: unknown): void {
    this.#reply(asked, encodeLine(rpcFailure(asked.id, error)))
  }

  #refuseWith(asked: Asked, error: ErrorOnWire): void {
    this.#reply(asked, rpcErrorLine(asked.id, JSON.stringify(error)))
  }

  #reply({ batch, id }: Asked, line: string): void {
    if (batch === undefined) this.#write(line)
    else {
      const answer = this.#held + line.length > MAX_HELD_ANSWERS ? tooMuchHeld(id) : line
      this.#held += answer.length
      batch.add(answer)
    }
    this.#endWhenAnswered()
  }

  #write(line: string): void {
    if (this.#over) return
    if (this.isStuck(MAX_LINK_BYTES)) {
      this.close()
      return
    }
    this.#writer.text(line)
    if (this.#scheduled) return
    this.#scheduled = true
    this.#flush.add(this)
  }

  /** A peer that only subscribes stays for its events until it closes, or the linger is over. */
  #endWhenAnswered(): void {
    if (this.#over || !this.#halfClosed) return
    if (this.#asked.size === 0 && this.#events.count === 0) this.end()
  }
}

/** The call took effect or failed; what it came to is not kept until the rest of its batch is there. */
function tooMuchHeld(id: RpcId): string {
  const text = `The answers in unfinished batches of this link exceed ${MAX_HELD_ANSWERS} characters: ask for less at once.`
  return encodeLine(rpcFailure(id, new ConclaveError('TOO_LARGE', text, { outcome: 'unknown' })))
}

function invalidParams(text: string): ConclaveError {
  return new ConclaveError('INVALID_PARAMS', text, { outcome: 'not-committed' })
}
