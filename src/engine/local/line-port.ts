import { ConclaveError, asError, errorToWire, type ErrorOnWire } from '../../errors/index.ts'
import { seqOf } from '../../events/position.ts'
import type { SubscribeBody } from '../../events/subscriber.ts'
import { randomBytes } from '../../platform/random.ts'
import { CALL_TIMEOUT_MS } from '../../rpc/limits.ts'
import type { Connection } from '../../transport/transport.ts'
import { FLAG, Frame, KIND, TARGET } from '../../wire/frame.ts'
import {
  RpcBatchAnswers,
  parseRpcLine,
  rpcFailure,
  rpcNotificationLine,
  rpcResult,
  rpcResultLine,
  type RpcId,
  type RpcMessage,
  type RpcResponse,
} from '../../wire/jsonrpc.ts'
import { LineReader, encodeLine } from '../../wire/lines.ts'
import type { MemberRef } from '../../wire/peers.ts'
import type { OutgoingTransfer } from '../../wire/transfer.ts'
import { BatchWriter, type BatchPool } from '../../wire/writer.ts'
import type { FlushScheduler } from './flush.ts'
import type { Hub } from './hub.ts'
import { dataOf, LineEvents } from './line-events.ts'
import { BURST_FACTOR, LINE_LINGER_MS, MAX_LINE_BYTES, MAX_LINK_BYTES } from './limits.ts'
import { Port } from './port.ts'
import type { Session } from './session.ts'
import { StallWatch } from './stall-watch.ts'

/** Whether a link that begins with this byte is one of JSON lines: `{`, `[` or white space (rule B19). */
export function isLineByte(byte: number): boolean {
  return byte === 0x7b || byte === 0x5b || byte === 0x20 || byte === 0x09 || byte === 0x0a || byte === 0x0d
}

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
class LinePort extends Port {
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
      notify: (method, params) => this.#write(rpcNotificationLine(method, params)),
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
    this.#ending = setTimeout(() => this.#connection.close(), this.#patience.lingerMs).unref()
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
    const answers = new RpcBatchAnswers(parsed, (line) => this.#write(line))
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
    this.#ending = setTimeout(() => this.end(), this.#patience.lingerMs).unref()
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
        this.#hub.receive(this, params === undefined ? frame : frame.withBody(JSON.stringify(params)))
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
    this.#hub.receive(this, data === undefined ? frame : frame.withBody(JSON.stringify(data)))
    this.#publishing = undefined
  }

  #subscribe(params: Record<string, unknown>, asked: Asked | undefined): void {
    const { pattern, from, maxQueued, overflow } = params
    if (typeof pattern !== 'string') throw invalidParams('conclave.subscribe needs { pattern }.')
    // Nobody could tell what its events are of.
    if (asked === undefined) return
    const body = { from: from ?? 'now', maxQueued, overflow } as SubscribeBody
    const frame = this.#frame.set(KIND.SUBSCRIBE, 0, 0, this.#events.begin(asked), 0, 0, 0).withName(pattern)
    this.#hub.receive(this, frame.withBody(JSON.stringify(body)))
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
    let result: unknown
    try {
      result = dataOf(frame)
    } catch (error) {
      this.#refuseWith(asked, errorToWire(error))
      return
    }
    if (asked.batch !== undefined || frame.raw) this.#result(asked, result)
    else {
      // As its callee wrote it: numbers keep their digits.
      this.#write(rpcResultLine(asked.id, frame.text))
      this.#endWhenAnswered()
    }
  }

  #failed(frame: Frame): void {
    const asked = this.#take(frame.number)
    if (asked !== undefined) this.#refuseWith(asked, failureOf(frame))
  }

  #take(number: number): Asked | undefined {
    const asked = this.#asked.get(number)
    this.#asked.delete(number)
    return asked
  }

  #result(asked: Asked | undefined, result: unknown): void {
    if (asked !== undefined) this.#reply(asked, rpcResult(asked.id, result))
  }

  #fail(asked: Asked, error: unknown): void {
    this.#reply(asked, rpcFailure(asked.id, error))
  }

  #refuseWith(asked: Asked, error: ErrorOnWire): void {
    this.#reply(asked, { jsonrpc: '2.0', id: asked.id, error })
  }

  #reply({ batch }: Asked, answer: RpcResponse): void {
    if (batch === undefined) this.#write(encodeLine(answer))
    else batch.add(answer)
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

const PATIENCE: LinePatience = { callMs: CALL_TIMEOUT_MS, lingerMs: LINE_LINGER_MS }

/** Takes a connection in whose first byte was that of a line. */
export function acceptLines(
  hub: Hub,
  connection: Connection,
  pool: BatchPool,
  flush: FlushScheduler,
  patience: LinePatience = PATIENCE,
): void {
  const { pid } = connection.peer
  const ref: MemberRef = { id: randomBytes(16).toString('base64url'), name: 'json-lines', pid }
  let port: LinePort
  try {
    port = hub.admitGuest(
      (slot, session) => new LinePort(slot, ref, session, hub, connection, pool, flush, patience),
      ref.id,
    ) as LinePort
  } catch (error) {
    hub.counters.refused++
    const line = new TextEncoder().encode(encodeLine(rpcFailure(null, error)))
    connection.write(line, 0, line.length)
    connection.handlers = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} }
    connection.close()
    return
  }
  const reader = new LineReader({
    maxLineBytes: MAX_LINE_BYTES,
    onLine: (text) => port.line(text),
    onTooLong: (bytes) => {
      const text = `A line of at least ${bytes} bytes was skipped; the limit is ${MAX_LINE_BYTES}.`
      port.refuse(new ConclaveError('TOO_LARGE', text))
    },
    onInvalid: () => port.refuse(new ConclaveError('PROTOCOL', 'A line that is not UTF-8 was skipped.')),
  })
  connection.handlers = {
    onData: (bytes, start, end) => {
      try {
        reader.push(bytes, start, end)
      } catch (error) {
        port.refuse(new ConclaveError('INTERNAL', asError(error).message, { cause: error }))
        port.end()
      }
    },
    onEnd: () => {
      if (reader.end()) port.refuse(new ConclaveError('PROTOCOL', 'The last line has no end: it was not taken.'))
      port.halfClosed()
    },
    onDrain: () => hub.writable(port),
    onClose: () => {
      port.gone()
      hub.remove(port, 'closed')
    },
  }
}

function invalidParams(text: string): ConclaveError {
  return new ConclaveError('INVALID_PARAMS', text, { outcome: 'not-committed' })
}

/** The error of a FAILURE. Its callee wrote it: what is no error of JSON-RPC must not go on as one. */
function failureOf(frame: Frame): ErrorOnWire {
  try {
    const error = JSON.parse(frame.text) as Partial<ErrorOnWire> | null
    if (typeof error?.code === 'number' && typeof error.message === 'string') return error as ErrorOnWire
  } catch {
    // As below.
  }
  const text = 'The error of an answer is no JSON-RPC error: its sender is at fault.'
  return errorToWire(new ConclaveError('PROTOCOL', text, { outcome: 'unknown' }))
}
