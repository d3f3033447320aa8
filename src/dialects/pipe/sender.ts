import { ConclaveError } from '../../errors/index.ts'
import { pause, throwIfAborted, within } from '../shared/abort.ts'
import { frameOf } from './frame.ts'
import type { Place } from '../shared/place.ts'
import { privateDirectory } from '../shared/place.ts'
import { placeOf, type Internals, type PlaceOptions } from '../shared/uids.ts'
import * as limits from './limits.ts'
import type { PipeMessage } from './messages.ts'
import { pipePath } from './paths.ts'
import { checked, type NoSchemas, type Outgoing, type PipeSchemas } from './schema.ts'
import { connect, lost, SenderLink } from './sender-link.ts'

export interface SenderOptions<S extends PipeSchemas = NoSchemas> extends PlaceOptions {
  /** Default: where the existing system has its sockets. */
  readonly directory?: string | undefined
  /** Payloads of known types, and further types: checked before they are sent. */
  readonly schemas?: S | undefined
  /** False: nothing is sent that the existing sender would not send. Default true. */
  readonly acks?: boolean | undefined
  readonly maxLineBytes?: number | undefined
  readonly writeTimeoutMs?: number | undefined
}

export interface DialOptions<S extends PipeSchemas = NoSchemas> extends SenderOptions<S> {
  /** Default 5 s. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface RetryOptions {
  readonly attempts?: number | undefined
  /** The pause after an attempt is this times its number. */
  readonly retryMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Once. @throws `DISCONNECTED` (nobody listens), `FORBIDDEN`, `TIMEOUT`, `FOREIGN_WORKSPACE`, `INVALID_OPTION`, `ABORTED` */
export async function dial<S extends PipeSchemas = NoSchemas>(
  name: string,
  options: DialOptions<S> = {},
  internals: Internals = {},
): Promise<Sender<S>> {
  throwIfAborted(options.signal)
  const sender = new Sender<S>(name, options, placeOf(options, internals))
  await sender.connect(options.timeoutMs, options.signal)
  return sender
}

/** Up to 30 times, with pauses of 0.5 s, 1 s, 1.5 s and so on. The signal ends a pause at once. @throws as `dial` */
export async function dialWithRetry<S extends PipeSchemas = NoSchemas>(
  name: string,
  options: DialOptions<S> & RetryOptions = {},
  internals: Internals = {},
): Promise<Sender<S>> {
  const { attempts = limits.DIAL_ATTEMPTS, retryMs = limits.DIAL_RETRY_MS, signal } = options
  return retry({ attempts, retryMs, signal }, () => dial(name, options, internals))
}

/** The writing end of a pipe. */
export class Sender<S extends PipeSchemas = NoSchemas> implements AsyncDisposable {
  readonly name: string
  readonly path: string
  readonly #options: SenderOptions<S>
  readonly #place: Place
  #link: SenderLink | undefined
  #closed = false
  #progress: (() => void) | undefined
  /** Sends go one after the other: the next begins when the kernel has the one before. */
  #turn: Promise<unknown> = Promise.resolve()

  /** Use `dial`. */
  constructor(name: string, options: SenderOptions<S>, place: Place) {
    this.name = name
    this.path = pipePath(name, options.directory)
    this.#options = options
    this.#place = place
  }

  get connected(): boolean {
    return this.#link?.broken === false && this.#link.open
  }

  /** Whether the receiver acknowledges; one of the existing system does not. */
  get acknowledges(): boolean {
    return this.#link?.acking === true
  }

  /** @internal */
  async connect(timeoutMs: number = limits.DIAL_TIMEOUT_MS, signal?: AbortSignal): Promise<void> {
    if (this.#closed) throw closedError(this.name)
    privateDirectory(this.#place.platform, this.path.slice(0, this.path.lastIndexOf('/')))
    const connection = await connect(this.#place, this.path, timeoutMs, signal)
    const { acks = true, maxLineBytes = limits.MAX_LINE_BYTES } = this.#options
    this.#link?.close()
    this.#link = new SenderLink(connection, acks, maxLineBytes, {
      onAck: () => this.#progress?.(),
      onDrain() {},
      onClose: () => this.#progress?.(),
    })
  }

  /**
   * Resolves when the kernel has the message: a receiver that dies then takes it along (`flush` waits for more).
   * @throws `DISCONNECTED`, `TIMEOUT` (no room for 5 s; the connection is closed), `FRAME_TOO_LARGE`, `INVALID_PARAMS`,
   * `INVALID_REQUEST`, `CLOSED`, `ABORTED`
   */
  send(message: Outgoing<S>, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const sent = this.#turn.then(() => this.#send(message as PipeMessage, options.signal))
    this.#turn = sent.catch(() => {})
    return sent
  }

  /** The same, three times at most; a lost connection is dialed anew before the next try. @throws as `send` and `dial` */
  async sendWithRetry(message: Outgoing<S>, options: RetryOptions = {}): Promise<void> {
    const { attempts = limits.SEND_ATTEMPTS, retryMs = limits.SEND_RETRY_MS, signal } = options
    await retry({ attempts, retryMs, signal }, async () => {
      if (!this.connected) await this.connect(undefined, signal)
      await this.send(message, { signal })
    })
  }

  /**
   * Resolves when the receiver's application has taken all that was sent on this connection.
   * @throws `TIMEOUT` (also with a receiver that does not acknowledge), `DISCONNECTED`, `ABORTED`
   */
  async flush(
    options: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number | undefined } = {},
  ): Promise<void> {
    await this.#turn
    const link = this.#link
    const { signal, timeoutMs = limits.CLOSE_TIMEOUT_MS } = options
    const done = new Promise<void>((resolve, reject) => {
      this.#progress = () => {
        if (link !== undefined && link.acknowledged === link.sent) resolve()
        else if (link?.broken !== false) reject(lost(undefined))
      }
      this.#progress()
    })
    done.catch(() => {})
    await within(done, { signal, timeoutMs, what: 'The acknowledgement of what was sent' })
  }

  /** What was sent is still read by the receiver. Idempotent; `send` is `CLOSED` from now on. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#turn
    const link = this.#link
    if (link === undefined) return
    link.end()
    await link.closed
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #send(message: PipeMessage, signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal)
    if (this.#closed) throw closedError(this.name)
    const { maxLineBytes = limits.MAX_LINE_BYTES, writeTimeoutMs = limits.WRITE_TIMEOUT_MS, schemas } = this.#options
    const line = frameOf(await checked(schemas, message), maxLineBytes)
    const link = this.#link
    if (link === undefined || link.broken || !link.open) throw lost(undefined)
    link.write([line])
    await link.taken(writeTimeoutMs, signal)
  }
}

export function closedError(name: string): ConclaveError {
  return new ConclaveError('CLOSED', `The sender of ${name} is closed.`)
}

/** Tries again what may pass by itself. */
async function retry<T>(
  { attempts, retryMs, signal }: { attempts: number; retryMs: number; signal: AbortSignal | undefined },
  work: () => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (attempt >= attempts || !ConclaveError.is(error, 'DISCONNECTED', 'TIMEOUT')) throw error
    }
    await pause(retryMs * attempt, signal)
  }
}
