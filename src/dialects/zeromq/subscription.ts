import { randomBytes } from 'node:crypto'
import type { Subscriber } from 'zeromq'
import { ConclaveError } from '../../errors/index.ts'
import { BackOff } from '../../election/wait.ts'
import { Later, pause, within } from '../shared/abort.ts'
import type { Zeromq } from '../zmq-library.ts'
import type { CallOptions } from './client.ts'
import { ConnectionWatch } from './connection.ts'
import { decodeFrame, exactly, type Envelope } from './envelope.ts'
import { EventQueue, received, type ReceivedEnvelope } from './event-queue.ts'
import { Gaps } from './gaps.ts'
import * as limits from './limits.ts'
import { whole } from './options.ts'
import { HEARTBEAT, PROBE } from './probe.ts'
import { told } from './told.ts'

export interface SubscriptionOptions {
  /** Events that wait for their reader. Default 1,024. */
  readonly queueSize?: number | undefined
  /** Bytes of them. Default 16 MiB. */
  readonly queueBytes?: number | undefined
  /**
   * At the bound: `drop-oldest` (default), told by `missed`; or `pause`: nothing more is read, as existing subscribers do,
   * so that the bus drops when its own queue for this subscriber is full.
   */
  readonly overflow?: 'drop-oldest' | 'pause' | undefined
  /** How long a subscription at an existing bus is taken to need. Default 250 ms. */
  readonly settleMs?: number | undefined
  /** Ends the wait until it is in force; afterwards closes the subscription. */
  readonly signal?: AbortSignal | undefined
  /** `disconnected`: libzmq connects again by itself, and the subscription with it. `unreachable`: nobody is there. */
  readonly onNotice?: ((notice: SubscriptionNotice) => void) | undefined
  readonly receiveHighWaterMark?: number | undefined
}

export interface SubscriptionNotice {
  readonly type: 'connected' | 'disconnected' | 'unreachable'
}

interface Internal extends SubscriptionOptions {
  readonly endpoint: string
  readonly topics: readonly string[]
  readonly curve: object
  readonly dialTimeoutMs: number
  readonly maxMessageBytes: number
  readonly onClose: () => void
}

type Ask = (method: string, params: unknown, options: CallOptions) => Promise<unknown>

/** @internal */
export function openSubscription(library: Zeromq, options: Internal): Subscription {
  return new Subscription(library, options)
}

/** Events of one bus as they come. */
export class Subscription implements AsyncIterableIterator<ReceivedEnvelope, undefined>, AsyncDisposable {
  readonly #socket: Subscriber
  readonly #options: Internal
  readonly #queue: EventQueue
  readonly #gaps = new Gaps()
  readonly #watch: ConnectionWatch
  readonly #connected = new Later<void>()
  #waiters: ((result: IteratorResult<ReceivedEnvelope, undefined>) => void)[] = []
  #probe: { readonly word: string; readonly heard: Later<void> } | undefined
  #room: (() => void) | undefined
  #closed = false
  #dropped = 0
  #malformed = 0

  /** Use `Client.subscribeTo`. */
  constructor(library: Zeromq, options: Internal) {
    const { queueSize, queueBytes, receiveHighWaterMark } = options
    this.#options = options
    this.#queue = new EventQueue(
      whole(queueSize, 'queueSize', limits.QUEUE_SIZE, 1),
      whole(queueBytes, 'queueBytes', limits.QUEUE_BYTES, 1),
    )
    this.#socket = new library.Subscriber({
      ...options.curve,
      linger: 0,
      reconnectInterval: limits.DIAL_RETRY_MS,
      connectTimeout: options.dialTimeoutMs,
      handshakeInterval: options.dialTimeoutMs,
      maxMessageSize: options.maxMessageBytes,
      receiveHighWaterMark: whole(receiveHighWaterMark, 'receiveHighWaterMark', limits.RECEIVE_HIGH_WATER_MARK, 1),
    })
    this.#watch = new ConnectionWatch(this.#socket, options.endpoint, {
      onUp: () => {
        this.#connected.resolve()
        told(options.onNotice, { type: 'connected' })
      },
      onDown: () => {
        this.#gaps.disconnected()
        told(options.onNotice, { type: 'disconnected' })
      },
      onFailed: (error) => {
        this.#connected.reject(error)
        told(options.onNotice, { type: 'unreachable' })
      },
    })
    this.#socket.connect(options.endpoint)
    if (options.topics.length === 0) this.#socket.subscribe()
    else this.#socket.subscribe(...options.topics)
    options.signal?.addEventListener('abort', this.#onAbort)
    void this.#read()
  }

  get connected(): boolean {
    return this.#watch.up
  }

  /** `dropped`: by this end, since the reader was slow. `malformed`: frames that are no event, skipped. */
  get counters(): { readonly dropped: number; readonly malformed: number } {
    return { dropped: this.#dropped, malformed: this.#malformed }
  }

  next(): Promise<IteratorResult<ReceivedEnvelope, undefined>> {
    const value = this.#queue.take()
    if (value !== undefined) {
      this.#room?.()
      return Promise.resolve({ done: false, value })
    }
    if (this.#closed) return Promise.resolve({ done: true, value: undefined })
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  /** Leaving a loop closes the subscription. */
  return(): Promise<IteratorResult<ReceivedEnvelope, undefined>> {
    this.close()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** Nothing more is read; what is here can still be taken. Idempotent. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#socket.close()
    this.#room?.()
    const error = new ConclaveError('CLOSED', 'The subscription was closed.')
    this.#connected.reject(error)
    this.#probe?.heard.reject(error)
    for (const resolve of this.#waiters.splice(0)) resolve({ done: true, value: undefined })
    this.#options.onClose()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
  }

  /**
   * @internal Resolves when the subscription is in force.
   * @param ask calls the RPC side; `undefined` where there is none
   */
  async settle(ask: Ask | undefined, timeoutMs: number, { signal, settleMs }: SubscriptionOptions): Promise<void> {
    const endMs = performance.now() + timeoutMs
    const what = `A connection to ${this.#options.endpoint}`
    await within(this.#connected.promise, { signal, timeoutMs, what })
    if (ask === undefined || !(await this.#probed(ask, endMs, signal))) {
      await pause(settleMs ?? limits.SETTLE_MS, signal)
    }
  }

  /** @returns false when the bus is not one of ours */
  async #probed(ask: Ask, endMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    const word = randomBytes(12).toString('hex')
    const heard = new Later<void>()
    this.#probe = { word, heard }
    this.#socket.subscribe(exactly(HEARTBEAT))
    const pauses = new BackOff(limits.PROBE_FIRST_MS, limits.PROBE_LAST_MS)
    try {
      for (;;) {
        const leftMs = Math.max(1, endMs - performance.now())
        try {
          await ask(PROBE, { probe: word }, { timeoutMs: leftMs, signal })
        } catch (error) {
          // An existing bus, or none that answers calls: it can't tell.
          if (ConclaveError.is(error, 'METHOD_NOT_FOUND', 'FAILED', 'DISCONNECTED', 'PROTOCOL')) return false
          // Or something that takes connections there and says nothing.
          if (ConclaveError.is(error, 'TIMEOUT') && error.outcome === 'not-committed') return false
          throw error
        }
        const timeoutMs = pauses.next()
        try {
          await within(heard.promise, { signal, timeoutMs, what: 'The heartbeat that was asked for' })
          return true
        } catch (error) {
          if (!ConclaveError.is(error, 'TIMEOUT') || performance.now() >= endMs) throw error
        }
      }
    } finally {
      this.#probe = undefined
      if (!this.#closed) this.#socket.unsubscribe(exactly(HEARTBEAT))
    }
  }

  async #read(): Promise<void> {
    while (!this.#closed) {
      try {
        const frames = await this.#socket.receive()
        this.#take(frames[0] as Buffer)
      } catch {
        if (this.#closed) return
        // A socket that fails gives nothing more.
        this.close()
      }
      if (this.#options.overflow === 'pause' && this.#queue.full) {
        await new Promise<void>((resolve) => (this.#room = resolve))
        this.#room = undefined
      }
    }
  }

  #take(frame: Buffer): void {
    const envelope = decodeFrame(frame)
    if (envelope === undefined) {
      this.#malformed++
      return
    }
    if (this.#probe !== undefined && envelope.topic === HEARTBEAT && !this.#wanted(envelope)) return
    const missed = this.#gaps.missedBefore(envelope)
    const waiter = this.#waiters.shift()
    if (waiter !== undefined) waiter({ done: false, value: received(envelope, missed) })
    else this.#dropped += this.#queue.push(envelope, frame.length, missed)
  }

  /** While probing, heartbeats come that nobody asked for. */
  #wanted({ payload }: Envelope): boolean {
    const { word, heard } = this.#probe ?? {}
    if ((payload as { readonly probe?: unknown } | null)?.probe === word) {
      heard?.resolve()
      return false
    }
    const { topics } = this.#options
    return topics.length === 0 || topics.some((prefix) => exactly(HEARTBEAT).startsWith(prefix))
  }

  readonly #onAbort = (): void => this.close()
}
