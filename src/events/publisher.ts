import { ConclaveError, errorFromWire } from '../errors/index.ts'
import { FLAG, Frame, KIND } from '../wire/frame.ts'
import type { OutgoingTransfer } from '../wire/transfer.ts'
import { MAX_UNACKED_BYTES, MAX_UNACKED_PUBLISHES } from './limits.ts'
import { seqOf } from './position.ts'
import { checkTopic } from './topics.ts'
import { Unacknowledged } from './unacknowledged.ts'

interface Sink {
  send(frame: Frame): OutgoingTransfer | undefined
}

interface Publish {
  readonly number: number
  readonly topic: string
  readonly body: string | Uint8Array | undefined
  readonly flags: number
  readonly time: number
  /** Of the body, when it was published: bytes may be transferred away later. */
  readonly bytes: number
  readonly promise: Promise<number>
  readonly resolve: (seq: number) => void
  readonly reject: (error: Error) => void
}

export interface PublisherCounters {
  published: number
  rejected: number
  repeated: number
}

/**
 * The publishing side of a member. What the switchboard has not acknowledged is kept and repeated, in order, by the
 * next link; the number of each publish lets everybody drop what they have seen (rule A12).
 */
export class Publisher {
  readonly counters: PublisherCounters = { published: 0, rejected: 0, repeated: 0 }
  readonly #unacked = new Unacknowledged<Publish>()
  readonly #frame = new Frame()
  readonly #maxUnacked: number
  readonly #maxBytes: number
  #waiting: Publish[] = []
  #bytes = 0
  #number = 0
  #sink: Sink | undefined
  #term = 0
  /** A long event on its way: later ones of this publisher must not overtake it. */
  #long: OutgoingTransfer | undefined
  #closed: ConclaveError | undefined
  /** The topic that was checked last. */
  #topic = ''
  #resolve!: (seq: number) => void
  #reject!: (error: Error) => void
  /** One for all promises: a function for each would cost as much as the promise. */
  readonly #settlers = (resolve: (seq: number) => void, reject: (error: Error) => void): void => {
    this.#resolve = resolve
    this.#reject = reject
  }

  constructor(options: { maxUnacked?: number | undefined; maxUnackedBytes?: number | undefined } = {}) {
    this.#maxUnacked = options.maxUnacked ?? MAX_UNACKED_PUBLISHES
    this.#maxBytes = options.maxUnackedBytes ?? MAX_UNACKED_BYTES
  }

  get unacked(): number {
    return this.#unacked.size
  }

  /**
   * @param sensitive marks the event: nobody shows its data
   * @returns a promise of the seq; its rejection is counted and need not be handled
   */
  publish(topic: string, body: string | Uint8Array | undefined, sensitive: boolean = false): Promise<number> {
    const promise = new Promise(this.#settlers)
    const resolve = this.#resolve
    const reject = this.#reject
    const bytes = body === undefined ? 0 : body.length
    const refusal = this.#refusal(topic, bytes)
    if (refusal !== undefined) {
      this.#refuse(promise, reject, refusal)
      return promise
    }
    const flags = sensitive ? FLAG.SENSITIVE : 0
    const publish = { number: ++this.#number, topic, body, flags, time: Date.now(), bytes, promise, resolve, reject }
    this.counters.published++
    this.#unacked.add(publish)
    this.#bytes += bytes
    this.#queue(publish)
    return promise
  }

  /**
   * Repeats what is not acknowledged, in order.
   * @param last the highest number of ours that this switchboard has taken, 0 when it knows us not: those up to it are
   * sent without their body, and answered again
   */
  attach(sink: Sink, term: number, last: number): void {
    this.#sink = sink
    this.#term = term
    this.#long = undefined
    this.#waiting = []
    for (const publish of this.#unacked.all()) {
      this.counters.repeated++
      this.#queue(publish.number <= last ? { ...publish, body: undefined } : publish)
    }
  }

  /** No more on this link; what is not acknowledged waits for the next. */
  detach(): void {
    this.#sink = undefined
    this.#long = undefined
    this.#waiting = []
  }

  close(error: ConclaveError): void {
    this.#closed = error
    this.detach()
    for (const { number, promise, reject } of this.#unacked.all()) {
      this.#unacked.take(number)
      const text = { cause: error.cause, outcome: 'unknown' } as const
      this.#refuse(promise, reject, new ConclaveError(error.code, error.message, text))
    }
  }

  /** PUBLISHED: the acknowledgement of a run of publishes, or a refusal in its body. */
  receive(frame: Frame): void {
    const { number, b: count, c: event } = frame
    const error = frame.hasBody ? errorFromWire(JSON.parse(frame.text)) : undefined
    const most = Math.min(count, this.#number + 1 - number)
    for (let i = 0; i < most; i++) {
      const publish = this.#unacked.take(number + i)
      if (publish === undefined) continue
      this.#bytes -= publish.bytes
      if (error === undefined) publish.resolve(seqOf(this.#term, event + i))
      else this.#refuse(publish.promise, publish.reject, error)
    }
  }

  #refusal(topic: string, bytes: number): Error | undefined {
    if (this.#closed !== undefined) {
      return new ConclaveError(this.#closed.code, this.#closed.message, {
        cause: this.#closed.cause,
        outcome: 'not-committed',
      })
    }
    try {
      if (topic === '' || topic !== this.#topic) checkTopic(topic)
      this.#topic = topic
    } catch (error) {
      return error as Error
    }
    if (this.#unacked.size < this.#maxUnacked && (this.#bytes + bytes <= this.#maxBytes || this.#unacked.size === 0)) {
      return undefined
    }
    const text = `${this.#unacked.size} events of this member (${this.#bytes} bytes) are not acknowledged: await publish() before publishing more.`
    return new ConclaveError('OVERLOADED', text, { outcome: 'not-committed' })
  }

  #queue(publish: Publish): void {
    if (this.#sink === undefined) return
    if (this.#long !== undefined) this.#waiting.push(publish)
    else this.#send(publish)
  }

  #send(publish: Publish): void {
    const { topic, body, flags, number, time } = publish
    const frame = this.#frame.set(KIND.PUBLISH, flags, 0, 0, 0, number, time).withName(topic)
    if (body !== undefined) frame.withBody(body)
    let transfer: OutgoingTransfer | undefined
    try {
      transfer = this.#sink!.send(frame)
    } catch (error) {
      this.#unacked.take(number)
      this.#bytes -= publish.bytes
      this.#refuse(publish.promise, publish.reject, error as Error)
      return
    }
    if (transfer === undefined || transfer.ended) return
    this.#long = transfer
    transfer.onEnd = () => {
      if (this.#long !== transfer) return
      this.#long = undefined
      while (this.#waiting.length > 0 && this.#long === undefined && this.#sink !== undefined) {
        this.#send(this.#waiting.shift()!)
      }
    }
  }

  /** Nobody need await a publish: its rejection is never unhandled. */
  #refuse(promise: Promise<number>, reject: (error: Error) => void, error: Error): void {
    this.counters.rejected++
    promise.catch(() => {})
    reject(error)
  }
}
