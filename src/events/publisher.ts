import { ConclaveError, errorFromWire } from '../errors/index.ts'
import { FLAG, Frame, KIND } from '../wire/frame.ts'
import type { OutgoingTransfer } from '../wire/transfer.ts'
import { MAX_UNACKED_BYTES, MAX_UNACKED_PUBLISHES } from './limits.ts'
import { seqOf } from './position.ts'
import { checkTopic } from './topics.ts'

interface Sink {
  send(frame: Frame): OutgoingTransfer | undefined
}

interface Publish {
  readonly number: number
  readonly topic: string
  readonly body: string | Uint8Array | undefined
  readonly flags: number
  readonly time: number
  readonly bytes: number
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
  readonly #unacked = new Map<number, Publish>()
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
    const flags = sensitive ? FLAG.SENSITIVE : 0
    const promise = new Promise<number>((resolve, reject) => {
      const bytes = body === undefined ? 0 : body.length
      const refusal = this.#refusal(topic, bytes)
      if (refusal !== undefined) {
        reject(refusal)
        return
      }
      const publish = { number: ++this.#number, topic, body, flags, time: Date.now(), bytes, resolve, reject }
      this.counters.published++
      this.#unacked.set(publish.number, publish)
      this.#bytes += bytes
      this.#queue(publish)
    })
    promise.catch(this.#count)
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
    for (const publish of this.#unacked.values()) {
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
    for (const publish of this.#unacked.values()) {
      publish.reject(new ConclaveError(error.code, error.message, { cause: error.cause, outcome: 'unknown' }))
    }
    this.#unacked.clear()
  }

  /** PUBLISHED: the acknowledgement, or a refusal in its body. */
  receive(frame: Frame): void {
    const publish = this.#unacked.get(frame.number)
    if (publish === undefined) return
    this.#unacked.delete(frame.number)
    this.#bytes -= publish.bytes
    if (frame.hasBody) publish.reject(errorFromWire(JSON.parse(frame.text)))
    else publish.resolve(seqOf(this.#term, frame.c))
  }

  #refusal(topic: string, bytes: number): Error | undefined {
    if (this.#closed !== undefined) {
      return new ConclaveError(this.#closed.code, this.#closed.message, {
        cause: this.#closed.cause,
        outcome: 'not-committed',
      })
    }
    try {
      checkTopic(topic)
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
      this.#unacked.delete(number)
      this.#bytes -= publish.bytes
      publish.reject(error as Error)
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

  readonly #count = (): void => {
    this.counters.rejected++
  }
}
