import { ConclaveError } from '../../errors/index.ts'
import type { Connection } from '../../transport/index.ts'
import { frameOf, tooLarge } from './frame.ts'
import { LineLink } from '../shared/link.ts'
import { Mailbox } from '../shared/mailbox.ts'
import { ACK_EVERY, MAX_LINE_BYTES, RECEIVER_QUEUE_SIZE, WRITE_TIMEOUT_MS } from './limits.ts'
import { ackMessage, decodePipeLine, PIPE_TYPES, type AckPayload, type PipeMessage } from './messages.ts'
import { checked, type Incoming, type NoSchemas, type PipeSchemas } from './schema.ts'

export interface ReceiverOptions<S extends PipeSchemas = NoSchemas> {
  /** Payloads of known types, and further types. */
  readonly schemas?: S | undefined
  /** Messages of types that are neither of the system nor of the schemas. Default `skip`, as the existing receiver does. */
  readonly unknownTypes?: 'skip' | 'deliver' | undefined
  /** False: nothing is ever written to the sender. Default true: one that asks for it is answered. */
  readonly acks?: boolean | undefined
  readonly queueSize?: number | undefined
  readonly maxLineBytes?: number | undefined
  /** Lines that were skipped while messages are read by `for await`. */
  readonly onError?: ((error: Error) => void) | undefined
}

export interface ReceiverCounters {
  readonly received: number
  /** Lines that were too long, no message, or did not fit their schema. */
  readonly errors: number
  /** Messages of types that nobody asked for. */
  readonly unknown: number
  readonly acks: number
}

/** `line`: which one of the connection it was. */
type Item = ({ readonly message: PipeMessage } | { readonly error: ConclaveError }) & { readonly line: number }

/** The reading end of one connection. */
export class Receiver<S extends PipeSchemas = NoSchemas> implements AsyncIterable<Incoming<S>, void>, AsyncDisposable {
  /** The sender's process, by the kernel. */
  readonly peer: { readonly uid: number; readonly gid: number; readonly pid: number }
  /** Resolves when the connection is closed. Never rejects. */
  readonly closed: Promise<void>
  readonly #options: ReceiverOptions<S>
  readonly #link: LineLink
  readonly #items: Mailbox<Item>
  readonly #types: ReadonlySet<string>
  readonly #queueSize: number
  #answers = false
  #paused = false
  #ending = false
  /** Lines of the sender's application that came. */
  #lines = 0
  /** Up to which of them the application has everything, and what of it the sender was told. */
  #taken = 0
  #told = 0
  #scheduled = false
  #counters = { received: 0, errors: 0, unknown: 0, acks: 0 }

  /** Use `listen`. */
  constructor(connection: Connection, options: ReceiverOptions<S> = {}, onClosed: () => void = () => {}) {
    const { maxLineBytes = MAX_LINE_BYTES, queueSize = RECEIVER_QUEUE_SIZE, schemas } = options
    this.#options = options
    this.#queueSize = queueSize
    this.#types = new Set([...PIPE_TYPES, ...Object.keys(schemas ?? {})])
    this.#items = new Mailbox(() => this.#makeRoom())
    let resolve = (): void => {}
    this.closed = new Promise((done) => (resolve = done))
    this.#link = new LineLink(
      connection,
      { maxLineBytes, fatal: false, lingerMs: WRITE_TIMEOUT_MS },
      {
        onLine: (text) => this.#line(text),
        onTooLong: (bytes) => this.#failed(tooLarge(bytes, maxLineBytes, 'it was skipped')),
        onInvalid: () => this.#failed(new ConclaveError('PROTOCOL', 'A line that is not UTF-8 was skipped.')),
        onEnd: () => {
          // What we have not told yet is told before we close; a sender that wants to know is still there.
          this.#ending = true
          this.#items.end()
          if (this.#items.size === 0) this.#finish()
        },
        onDrain: () => {},
        onClose: () => {
          this.#items.end()
          resolve()
          onClosed()
        },
      },
    )
    this.peer = this.#link.peer
  }

  get counters(): ReceiverCounters {
    return { ...this.#counters }
  }

  /**
   * The next message; `undefined` when the sender has ended and everything was read.
   * @throws `FRAME_TOO_LARGE`, `PROTOCOL`, `INVALID_PARAMS` for a line that was skipped: reading goes on. `ABORTED`: nothing is lost
   */
  async next(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Incoming<S> | undefined> {
    for (;;) {
      const item = await this.#items.next(options.signal)
      if (item === undefined) {
        if (this.#ending) this.#finish()
        return undefined
      }
      this.#acknowledge(item.line)
      if ('error' in item) throw item.error
      try {
        return (await checked(this.#options.schemas, item.message)) as Incoming<S>
      } catch (error) {
        this.#counters.errors++
        throw error
      }
    }
  }

  /** Messages until the sender ends; lines that were skipped go to `onError`. Leaving the loop closes the connection. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Incoming<S>, void, undefined> {
    try {
      for (;;) {
        let message: Incoming<S> | undefined
        try {
          message = await this.next()
        } catch (error) {
          this.#options.onError?.(error as Error)
          continue
        }
        if (message === undefined) return
        yield message
      }
    } finally {
      await this.close()
    }
  }

  /** At once; a sender of ours keeps what was not taken. Idempotent. */
  async close(): Promise<void> {
    this.#tell()
    this.#link.close()
    await this.closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Resolves when `next` has something to say. Takes nothing. */
  ready(signal: AbortSignal): Promise<void> {
    return this.#items.ready(signal)
  }

  #line(text: string): void {
    let line: ReturnType<typeof decodePipeLine>
    try {
      line = decodePipeLine(text)
    } catch (error) {
      this.#failed(error as ConclaveError)
      return
    }
    const { ack, auto, ...message } = line
    if (ack === true && this.#options.acks !== false) {
      // Said at once, whatever the application takes: this receiver acknowledges.
      this.#answers = true
      this.#told = -1
      this.#schedule()
    }
    if (auto === true) {
      // A heartbeat of ours asks whether we are there.
      this.#told = -1
      this.#schedule()
      return
    }
    this.#lines++
    if (this.#types.has(message.type) || this.#options.unknownTypes === 'deliver') {
      this.#counters.received++
      this.#push({ message, line: this.#lines })
      return
    }
    this.#counters.unknown++
    // Nobody takes it: it is behind us with what came before it, which may still wait.
    if (this.#items.size === 0) this.#acknowledge(this.#lines)
  }

  #failed(error: ConclaveError): void {
    this.#counters.errors++
    // A sender counts it too: what can never be taken must not be sent again and again.
    this.#lines++
    this.#push({ error, line: this.#lines })
  }

  #push(item: Item): void {
    this.#items.push(item)
    if (this.#items.size < this.#queueSize) return
    this.#paused = true
    this.#link.pause()
  }

  #makeRoom(): void {
    if (!this.#paused || this.#items.size > this.#queueSize / 2) return
    this.#paused = false
    this.#link.resume()
  }

  /** In the sender's order: a count stands for all that came before. */
  #acknowledge(line: number): void {
    this.#taken = Math.max(this.#taken, this.#items.size === 0 ? this.#lines : line)
    if (this.#taken - this.#told >= ACK_EVERY) this.#tell()
    else this.#schedule()
  }

  #schedule(): void {
    if (!this.#answers || this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#tell()
    })
  }

  #tell(): void {
    // A sender that does not read its acknowledgements gets no more of them until it does: the last one counts.
    if (!this.#answers || this.#told === this.#taken || this.#link.ended || this.#link.bufferedBytes > 0) return
    this.#told = this.#taken
    this.#counters.acks++
    this.#link.write(frameOf({ ...ackMessage<AckPayload>({ count: this.#taken }), auto: true }, MAX_LINE_BYTES))
  }

  #finish(): void {
    this.#tell()
    this.#link.end()
  }
}
