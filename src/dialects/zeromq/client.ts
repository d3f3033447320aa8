import { randomInt } from 'node:crypto'
import { ConclaveError } from '../../errors/index.ts'
import { DeadlineWheel } from '../../rpc/timers.ts'
import { throwIfAborted } from '../shared/abort.ts'
import { loadZeromq, type Zeromq } from '../zmq-library.ts'
import { wireJson } from './envelope.ts'
import * as limits from './limits.ts'
import { Link } from './link.ts'
import { whole } from './options.ts'
import { rpcBeside, type BusAddress } from './ports.ts'
import { checkTransport, clientOptions, type ClientKeys, type TcpOptions } from './security.ts'
import { told } from './told.ts'
import { openSubscription, type Subscription, type SubscriptionOptions } from './subscription.ts'

export interface ClientOptions extends TcpOptions {
  /** CURVE: the key of the bus, for endpoints given as text, and a pair of one's own. Default: a fresh pair where needed. */
  readonly keys?: ClientKeys | undefined
  /** Patience of a call that says nothing else. Default 10 s. */
  readonly timeoutMs?: number | undefined
  /** What happens here, for a log. */
  readonly onNotice?: ((notice: ClientNotice) => void) | undefined
  readonly dialTimeoutMs?: number | undefined
  readonly maxInFlight?: number | undefined
  readonly maxMessageBytes?: number | undefined
}

export type ClientNotice =
  /** The answer of a call that had ended before. */
  | { readonly type: 'late'; readonly endpoint: string; readonly text: string }
  /** An answer that belongs to no call of ours, or is none. */
  | { readonly type: 'stray'; readonly endpoint: string; readonly text: string }

export interface CallOptions {
  /** Waiting for the connection and for its turn included. Default: the client's. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * Subscribes to buses and calls their methods. One connection for each endpoint, shared by all calls. It keeps the process
 * alive until `close`.
 */
export class Client implements AsyncDisposable {
  readonly #options: ClientOptions
  readonly #timeoutMs: number
  readonly #maxInFlight: number
  readonly #maxMessageBytes: number
  readonly #dialTimeoutMs: number
  readonly #wheel = new DeadlineWheel({ now: () => performance.now(), ref: true })
  readonly #links = new Map<string, Link>()
  readonly #subscriptions = new Set<Subscription>()
  // The forms of existing clients: 19 digits, as of nanoseconds. Two clients never have the same.
  readonly #identity: string = `pando-client-${Date.now()}${randomInt(100_000, 1_000_000)}`
  readonly #idStem: string = `req-${Date.now()}`
  #calls = 100_000
  #closed = false
  #late = 0
  #stray = 0

  constructor(options: ClientOptions = {}) {
    this.#options = options
    this.#timeoutMs = options.timeoutMs ?? limits.CALL_TIMEOUT_MS
    this.#dialTimeoutMs = whole(options.dialTimeoutMs, 'dialTimeoutMs', limits.DIAL_TIMEOUT_MS, 1)
    this.#maxInFlight = whole(options.maxInFlight, 'maxInFlight', limits.MAX_IN_FLIGHT, 1)
    this.#maxMessageBytes = whole(options.maxMessageBytes, 'maxMessageBytes', limits.MAX_MESSAGE_BYTES, 1)
  }

  /** Answers that came too late, and such that nobody had asked for. */
  get counters(): { readonly late: number; readonly stray: number } {
    return { late: this.#late, stray: this.#stray }
  }

  /**
   * Calls a method of a bus. A call that expires or is aborted ends alone: others on the same connection go on.
   * @param endpoint of the RPC side, or the bus's address
   * @throws what the method threw (`FAILED` for errors without a code of ours), `METHOD_NOT_FOUND`, `TIMEOUT`, `ABORTED`,
   * `DISCONNECTED` (nobody answers there: `not-committed`; the connection was lost: `unknown`), `OVERLOADED`, `CLOSED`
   */
  call(
    endpoint: string | BusAddress,
    method: string,
    params?: unknown,
    { timeoutMs = this.#timeoutMs, signal }: CallOptions = {},
  ): Promise<unknown> {
    try {
      throwIfAborted(signal)
      const id = `${this.#idStem}${++this.#calls}`
      const rest = params === undefined ? '}' : `,"params":${wireJson(params)}}`
      const text = `{"jsonrpc":"2.0","id":"${id}","method":${wireJson(method)}${rest}`
      if (text.length * 3 > this.#maxMessageBytes && Buffer.byteLength(text) > this.#maxMessageBytes) {
        throw new ConclaveError('TOO_LARGE', `The call of "${method}" is longer than ${this.#maxMessageBytes} bytes.`)
      }
      const deadline = this.#wheel.now() + timeoutMs
      const fields = { id, method, text, timeoutMs, signal }
      const rpc = rpcOf(endpoint)
      const link = this.#links.get(rpc)
      if (link !== undefined) return link.call(fields, deadline)
      return loadZeromq().then((library) => this.#link(library, rpc, keyOf(endpoint)).call(fields, deadline))
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  /**
   * Resolves when the subscription is in force: what is published from then on comes. At a bus of ours that is known; at an
   * existing one it is taken for granted `settleMs` after the connection.
   * @param endpoint where events are published, or the bus's address
   * @param topics prefixes; none: all events. `exactly('a.b')` takes that topic alone
   * @throws `DISCONNECTED`, `TIMEOUT`, `INVALID_OPTION`, `CLOSED`
   */
  subscribeTo(endpoint: string | BusAddress, ...topics: readonly string[]): Promise<Subscription> {
    return this.subscribe(endpoint, topics)
  }

  /** The same with options. */
  async subscribe(
    endpoint: string | BusAddress,
    topics: readonly string[],
    options: SubscriptionOptions = {},
  ): Promise<Subscription> {
    const address: BusAddress = typeof endpoint === 'string' ? { pub: endpoint } : endpoint
    const { keys, insecure } = this.#options
    const serverKey = keyOf(endpoint) ?? keys?.serverKey
    checkTransport(address.pub, serverKey !== undefined, insecure)
    const library = await loadZeromq()
    this.#checkOpen()
    const subscription = openSubscription(library, {
      ...options,
      endpoint: address.pub,
      topics,
      curve: clientOptions(library, serverKey, keys),
      dialTimeoutMs: this.#dialTimeoutMs,
      maxMessageBytes: this.#maxMessageBytes,
      onClose: () => this.#subscriptions.delete(subscription),
    })
    this.#subscriptions.add(subscription)
    try {
      const rpc = address.rpc ?? rpcBeside(address.pub)
      const known = serverKey === undefined ? {} : { serverKey }
      const ask =
        rpc === undefined
          ? undefined
          : (method: string, params: unknown, callOptions: CallOptions): Promise<unknown> =>
              this.call({ pub: address.pub, rpc, ...known }, method, params, callOptions)
      await subscription.settle(ask, this.#dialTimeoutMs, options)
    } catch (error) {
      subscription.close()
      throw error
    }
    return subscription
  }

  /** Ends calls and subscriptions. Idempotent. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    for (const subscription of this.#subscriptions) subscription.close()
    for (const link of this.#links.values()) link.close(closed())
    this.#links.clear()
    this.#wheel.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #link(library: Zeromq, endpoint: string, key: string | undefined): Link {
    this.#checkOpen()
    const existing = this.#links.get(endpoint)
    if (existing !== undefined) return existing
    const { keys, insecure, onNotice } = this.#options
    const serverKey = key ?? keys?.serverKey
    checkTransport(endpoint, serverKey !== undefined, insecure)
    const link: Link = new Link(library, {
      endpoint,
      identity: this.#identity,
      curve: clientOptions(library, serverKey, keys),
      dialTimeoutMs: this.#dialTimeoutMs,
      maxMessageBytes: this.#maxMessageBytes,
      maxInFlight: this.#maxInFlight,
      wheel: this.#wheel,
      onFailed: () => {
        if (this.#links.get(endpoint) === link) this.#links.delete(endpoint)
        link.close(closed())
      },
      onNotice: (type, text) => {
        if (type === 'late') this.#late++
        else this.#stray++
        told(onNotice, { type, endpoint, text })
      },
    })
    this.#links.set(endpoint, link)
    return link
  }

  #checkOpen(): void {
    if (this.#closed) throw closed()
  }
}

function closed(): ConclaveError {
  return new ConclaveError('CLOSED', 'The client is closed.')
}

function rpcOf(endpoint: string | BusAddress): string {
  if (typeof endpoint === 'string') return endpoint
  const rpc = endpoint.rpc ?? rpcBeside(endpoint.pub)
  if (rpc !== undefined) return rpc
  throw new ConclaveError('INVALID_OPTION', `Where does the bus of ${endpoint.pub} answer calls? Say \`rpc\`.`)
}

function keyOf(endpoint: string | BusAddress): string | undefined {
  return typeof endpoint === 'string' ? undefined : endpoint.serverKey
}
