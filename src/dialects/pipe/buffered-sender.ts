import { Buffer } from 'node:buffer'
import { ConclaveError, asError } from '../../errors/index.ts'
import { BackOff, oneTurn, sleep } from '../../election/wait.ts'
import { Later, throwIfAborted, within } from '../shared/abort.ts'
import { frameOf } from './frame.ts'
import { privateDirectory, type Place } from '../shared/place.ts'
import { placeOf, type Internals } from '../shared/uids.ts'
import * as limits from './limits.ts'
import { heartbeatMessage, type PipeMessage } from './messages.ts'
import { Outbox, type Overflow } from './outbox.ts'
import { pipePath } from './paths.ts'
import { checked, type NoSchemas, type Outgoing, type PipeSchemas } from './schema.ts'
import { closedError, type SenderOptions } from './sender.ts'
import { connect, SenderLink } from './sender-link.ts'

export interface BufferedSenderOptions<S extends PipeSchemas = NoSchemas> extends SenderOptions<S> {
  /** Messages held, those on the way too. Default 4096. */
  readonly size?: number | undefined
  readonly bytes?: number | undefined
  /** When it is full: refuse the new one (`OVERLOADED`), or drop the oldest that is not on its way. Both are counted. */
  readonly overflow?: Overflow | undefined
  readonly ackGraceMs?: number | undefined
  readonly heartbeatMs?: number | undefined
  readonly closeTimeoutMs?: number | undefined
  /** A connection was lost, or could not be made; it is tried again. */
  readonly onError?: ((error: Error) => void) | undefined
}

export interface DeliveryReport {
  /** Taken by the receiver's application. */
  readonly delivered: number
  /** With the kernel, for a receiver that does not acknowledge: whether it read them nobody knows. */
  readonly written: number
  /** Refused or dropped because the buffer was full. */
  readonly dropped: number
  /** Still here, or on the way when the connection broke. */
  readonly undelivered: number
  /** Written again after a connection broke: the receiver may have had them. */
  readonly repeated: number
}

/**
 * A sender that outlives its receiver: messages wait in order while there is none, and go to the next one. To a receiver of
 * ours at least once; to an existing one, which says nothing, what the kernel took counts as written.
 * It need not be connected: it dials until it is closed.
 * @throws `INVALID_OPTION`, `FOREIGN_WORKSPACE`, `UNSAFE_WORKSPACE`
 */
export function bufferedSender<S extends PipeSchemas = NoSchemas>(
  name: string,
  options: BufferedSenderOptions<S> = {},
  internals: Internals = {},
): BufferedSender<S> {
  const place = placeOf(options, internals)
  const path = pipePath(name, options.directory)
  privateDirectory(place.platform, path.slice(0, path.lastIndexOf('/')))
  return new BufferedSender<S>(name, path, options, place)
}

export class BufferedSender<S extends PipeSchemas = NoSchemas> implements AsyncDisposable {
  readonly name: string
  readonly path: string
  readonly #options: BufferedSenderOptions<S>
  readonly #place: Place
  readonly #box: Outbox
  readonly #stop = new AbortController()
  #link: SenderLink | undefined
  /** The receiver said nothing for so long that it will not. */
  #silent = false
  #grace: NodeJS.Timeout | undefined
  readonly #heartbeat: NodeJS.Timeout
  #delivered = 0
  #written = 0
  #changed = new Later<void>()
  #closing: Promise<DeliveryReport> | undefined
  #ending = false
  #turn: Promise<unknown> = Promise.resolve()

  /** Use `bufferedSender`. */
  constructor(name: string, path: string, options: BufferedSenderOptions<S>, place: Place) {
    const { size = limits.BUFFER_SIZE, bytes = limits.BUFFER_BYTES, overflow = 'refuse' } = options
    this.name = name
    this.path = path
    this.#options = options
    this.#place = place
    this.#box = new Outbox({ size, bytes, overflow })
    this.#heartbeat = setInterval(() => this.#beat(), options.heartbeatMs ?? limits.HEARTBEAT_MS).unref()
    void this.#run()
  }

  get connected(): boolean {
    return this.#link?.broken === false
  }

  /** Messages not yet confirmed. */
  get pending(): number {
    return this.#box.size
  }

  get report(): DeliveryReport {
    return {
      delivered: this.#delivered,
      written: this.#written,
      dropped: this.#box.dropped,
      undelivered: this.#box.size,
      repeated: this.#box.repeated,
    }
  }

  /**
   * Resolves when the message is in the buffer.
   * @param options.wait waits for room instead of refusing
   * @throws `OVERLOADED`, `FRAME_TOO_LARGE`, `INVALID_PARAMS`, `INVALID_REQUEST`, `CLOSED`, `ABORTED`
   */
  send(
    message: Outgoing<S>,
    options: { readonly wait?: boolean | undefined; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    const queued = this.#turn.then(() => this.#send(message as PipeMessage, options.wait === true, options.signal))
    this.#turn = queued.catch(() => {})
    return queued
  }

  /** Resolves when nothing is pending. @throws `TIMEOUT`, `ABORTED` */
  async flush(
    options: { readonly signal?: AbortSignal | undefined; readonly timeoutMs?: number | undefined } = {},
  ): Promise<void> {
    await this.#turn
    const { signal, timeoutMs = Infinity } = options
    const endMs = performance.now() + timeoutMs
    while (this.#box.size > 0) {
      const leftMs = Math.max(0, endMs - performance.now())
      await within(this.#changed.promise, { signal, timeoutMs: leftMs, what: 'The delivery of what is pending' })
    }
  }

  /** Goes on delivering for a while, then says what came of everything. Idempotent; `send` is `CLOSED` from now on. */
  close(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<DeliveryReport> {
    return (this.#closing ??= this.#close(options.signal))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #send(message: PipeMessage, wait: boolean, signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal)
    const { maxLineBytes = limits.MAX_LINE_BYTES, schemas } = this.#options
    if (this.#closing !== undefined) throw closedError(this.name)
    const line = frameOf(await checked(schemas, message), maxLineBytes)
    const bytes = Buffer.byteLength(line)
    while (wait && !this.#box.fits(bytes)) {
      await within(this.#changed.promise, { signal, what: 'Room in the buffer' })
      if (this.#stop.signal.aborted) throw closedError(this.name)
    }
    if (!this.#box.add(line, bytes)) {
      const text = `${this.#box.size} messages wait for the receiver of ${this.name} already: this one was refused.`
      throw new ConclaveError('OVERLOADED', text, { data: { pending: this.#box.size } })
    }
    this.#pump()
  }

  async #run(): Promise<void> {
    const backOff = new BackOff(limits.REDIAL_FIRST_MS, limits.REDIAL_LAST_MS)
    const { signal } = this.#stop
    while (!signal.aborted) {
      let error: Error | undefined
      try {
        const connection = await connect(this.#place, this.path, limits.DIAL_TIMEOUT_MS, signal)
        const { acks = true, maxLineBytes = limits.MAX_LINE_BYTES } = this.#options
        const link = new SenderLink(connection, acks, maxLineBytes, {
          onAck: () => this.#acknowledged(link),
          onDrain: () => this.#pump(),
          onClose() {},
        })
        if (signal.aborted) link.close()
        this.#link = link
        this.#silent = !acks
        backOff.reset()
        this.#pump()
        error = await link.closed
        this.#lost(link, error)
      } catch (cause) {
        error = asError(cause)
      }
      if (signal.aborted || (this.#ending && this.#box.size === 0)) return
      if (error !== undefined) this.#options.onError?.(error)
      await sleep(backOff.next(), { signal })
    }
  }

  /** As much as the kernel takes; the rest when it has room. A receiver that is stopped is waited for. */
  #pump(): void {
    const link = this.#link
    if (link === undefined) return
    while (link.open && link.bufferedBytes === 0 && !link.broken) {
      const lines = this.#box.take()
      if (lines.length === 0) break
      link.write(lines)
      if (link.broken) {
        link.close()
        return
      }
      if (!this.#silent && !link.acking)
        this.#grace ??= setTimeout(() => void this.#noAcks(link), this.#options.ackGraceMs ?? limits.ACK_GRACE_MS)
    }
    if (this.#silent && link.bufferedBytes === 0 && !link.broken) this.#confirmWritten()
  }

  async #noAcks(link: SenderLink): Promise<void> {
    // An acknowledgement that came while this process was busy is read before the timer counts (rule B1).
    await oneTurn()
    if (this.#link !== link || link.acking || this.#ending) return
    this.#grace = undefined
    this.#silent = true
    this.#pump()
  }

  #confirmWritten(): void {
    const count = this.#box.confirm(this.#box.onTheWay)
    this.#written += count
    if (count > 0) this.#change()
  }

  #acknowledged(link: SenderLink): void {
    if (link !== this.#link) return
    clearTimeout(this.#grace)
    this.#grace = undefined
    this.#silent = false
    const unconfirmed = link.sent - link.acknowledged
    const count = this.#box.confirm(this.#box.onTheWay - unconfirmed)
    this.#delivered += count
    if (count > 0) this.#change()
    this.#pump()
  }

  #lost(link: SenderLink, error: Error | undefined): void {
    clearTimeout(this.#grace)
    this.#grace = undefined
    this.#link = undefined
    // An existing receiver that read everything before it closed; one that had not would have reset the connection.
    if (this.#ending && !link.acking && error === undefined) this.#confirmWritten()
    this.#box.takeBack()
    this.#change()
  }

  #beat(): void {
    const link = this.#link
    if (link === undefined || !link.acking || link.bufferedBytes > 0 || link.broken) return
    link.writeAuto(frameOf({ ...heartbeatMessage(), auto: true }, limits.MAX_LINE_BYTES))
  }

  async #close(signal: AbortSignal | undefined): Promise<DeliveryReport> {
    // What follows must not run before `#closing` is set.
    await this.#turn
    const timeoutMs = this.#options.closeTimeoutMs ?? limits.CLOSE_TIMEOUT_MS
    try {
      const stop = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal === undefined ? [] : [signal])])
      await this.#deliverAll(stop)
    } catch {
      // The time is over, or the signal came: the report says what is left. What was told meanwhile is read first.
      await oneTurn()
    }
    this.#ending = true
    this.#stop.abort()
    clearInterval(this.#heartbeat)
    clearTimeout(this.#grace)
    this.#link?.close()
    this.#change()
    return this.report
  }

  async #deliverAll(signal: AbortSignal): Promise<void> {
    while (this.#box.size > 0) {
      const link = this.#link
      if (link?.acking === false && this.#box.waiting === 0 && link.bufferedBytes === 0) {
        // Maybe an existing receiver: at the end of the stream it closes, and with that has read everything.
        this.#ending = true
        link.end()
      }
      await within(this.#changed.promise, { signal, what: 'The delivery' })
    }
  }

  #change(): void {
    this.#changed.resolve()
    this.#changed = new Later()
  }
}
