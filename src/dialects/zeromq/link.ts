import type { Dealer } from 'zeromq'
import { ConclaveError, errorFromWire } from '../../errors/index.ts'
import type { DeadlineWheel } from '../../rpc/timers.ts'
import { throwIfAborted } from '../shared/abort.ts'
import type { Zeromq } from '../zmq-library.ts'
import { ConnectionWatch } from './connection.ts'
import { DIAL_RETRY_MS, LOST_GRACE_MS, MAX_PENDING_BYTES, MAX_PENDING_CALLS, RESEND_MS } from './limits.ts'
import { PendingCall, type CallFields } from './pending-call.ts'

export interface LinkOptions {
  readonly endpoint: string
  readonly identity: string
  readonly curve: object
  readonly dialTimeoutMs: number
  readonly maxMessageBytes: number
  readonly maxInFlight: number
  readonly wheel: DeadlineWheel
  /** Nobody answers there and nothing waits: another call makes another link. */
  readonly onFailed: () => void
  readonly onNotice: (type: 'late' | 'stray', text: string) => void
}

/** Calls to one endpoint over one DEALER socket: many on their way at once, each answered by its id. */
export class Link {
  readonly #socket: Dealer
  readonly #options: LinkOptions
  readonly #watch: ConnectionWatch
  readonly #sent = new Map<string, PendingCall>()
  readonly #waiting = new Set<PendingCall>()
  #bytes = 0
  #epoch = 0
  #resend: NodeJS.Timeout | undefined
  readonly #graces = new Set<NodeJS.Timeout>()
  #closed = false

  constructor(library: Zeromq, options: LinkOptions) {
    this.#options = options
    this.#socket = new library.Dealer({
      ...options.curve,
      routingId: options.identity,
      // What was written to a lost connection is never sent on the next one.
      immediate: true,
      sendTimeout: 0,
      linger: 0,
      reconnectInterval: DIAL_RETRY_MS,
      connectTimeout: options.dialTimeoutMs,
      handshakeInterval: options.dialTimeoutMs,
      maxMessageSize: options.maxMessageBytes,
    })
    this.#watch = new ConnectionWatch(this.#socket, options.endpoint, {
      onUp: () => this.#up(),
      onDown: () => this.#down(),
      onFailed: (error) => this.#failed(error),
    })
    this.#socket.connect(options.endpoint)
    void this.#read()
  }

  /** @param deadline on the wheel's clock; waiting for a turn counts */
  call(fields: CallFields, deadline: number): Promise<unknown> {
    // It may have been aborted while the library was loaded.
    throwIfAborted(fields.signal)
    const pending = this.#waiting.size + this.#sent.size
    if (pending >= MAX_PENDING_CALLS || (pending > 0 && this.#bytes + fields.text.length > MAX_PENDING_BYTES)) {
      const text = `${pending} calls to ${this.#options.endpoint} wait already: wait for some of them.`
      return Promise.reject(new ConclaveError('OVERLOADED', text, { outcome: 'not-committed' }))
    }
    return new Promise((resolve, reject) => {
      const entry = new PendingCall(fields, resolve, reject, this.#over)
      this.#bytes += fields.text.length
      this.#options.wheel.add(deadline, entry)
      if (this.#ready && this.#waiting.size === 0) this.#send(entry)
      else this.#waiting.add(entry)
    })
  }

  close(error: ConclaveError): void {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#resend)
    for (const timer of this.#graces) clearTimeout(timer)
    this.#socket.close()
    for (const call of [...this.#waiting, ...this.#sent.values()]) {
      call.fail(new ConclaveError(error.code, error.message, { cause: error.cause, outcome: call.outcome }))
    }
  }

  get #ready(): boolean {
    return this.#watch.up && this.#sent.size < this.#options.maxInFlight && this.#resend === undefined
  }

  #send(call: PendingCall): void {
    call.state = 'sent'
    call.epoch = this.#epoch
    this.#sent.set(call.fields.id, call)
    this.#socket.send([null, call.fields.text]).then(undefined, () => this.#refused(call))
  }

  /** The connection is just lost, or its queue is full: the call keeps its turn. */
  #refused(call: PendingCall): void {
    if (call.state !== 'sent' || this.#closed) return
    this.#sent.delete(call.fields.id)
    call.state = 'waiting'
    const behind = [...this.#waiting]
    this.#waiting.clear()
    for (const one of [call, ...behind]) this.#waiting.add(one)
    this.#resend ??= setTimeout(() => {
      this.#resend = undefined
      this.#flush()
    }, RESEND_MS)
  }

  #flush(): void {
    for (const call of this.#waiting) {
      if (!this.#ready) return
      this.#waiting.delete(call)
      this.#send(call)
    }
  }

  readonly #over = (call: PendingCall): void => {
    this.#options.wheel.remove(call)
    this.#bytes -= call.fields.text.length
    if (call.state === 'waiting') this.#waiting.delete(call)
    else this.#sent.delete(call.fields.id)
    if (this.#waiting.size > 0 && this.#ready) this.#flush()
  }

  #up(): void {
    this.#epoch++
    this.#flush()
  }

  /** What the connection had brought is read before its calls end. */
  #down(): void {
    const lost = this.#epoch
    const timer = setTimeout(() => {
      this.#graces.delete(timer)
      // A loop that was held up runs timers first: sockets are read between here and the second check phase (rule B1).
      setImmediate(() => setImmediate(() => this.#lose(lost)))
    }, LOST_GRACE_MS)
    this.#graces.add(timer)
  }

  #lose(lost: number): void {
    for (const call of this.#sent.values()) {
      if (call.epoch > lost) continue
      const text = `The connection to ${this.#options.endpoint} was lost before "${call.fields.method}" was answered.`
      call.fail(new ConclaveError('DISCONNECTED', text, { outcome: 'unknown' }))
    }
  }

  #failed(error: ConclaveError): void {
    for (const call of this.#waiting) call.fail(error)
    if (this.#sent.size === 0) this.#options.onFailed()
  }

  async #read(): Promise<void> {
    while (!this.#closed) {
      try {
        const frames = await this.#socket.receive()
        this.#take((frames.at(-1) as Buffer).toString('utf8'))
      } catch (error) {
        if (this.#closed) return
        this.close(new ConclaveError('INTERNAL', 'The socket for calls failed.', { cause: error }))
      }
    }
  }

  #take(text: string): void {
    let answer: { readonly id?: unknown; readonly result?: unknown; readonly error?: unknown } | null
    try {
      answer = JSON.parse(text) as typeof answer
    } catch {
      this.#options.onNotice('stray', text)
      return
    }
    const id = typeof answer === 'object' ? answer?.id : undefined
    const call = typeof id === 'string' ? this.#sent.get(id) : undefined
    if (call === undefined) {
      // The answer of a call that has expired, or one that nobody asked for.
      this.#options.onNotice(typeof id === 'string' && id.startsWith('req-') ? 'late' : 'stray', text)
      return
    }
    // Existing peers leave the result out where there is none.
    if (answer?.error === undefined || answer.error === null) call.succeed(answer?.result)
    else call.fail(errorFromWire(answer.error))
  }
}
