import { Buffer } from 'node:buffer'
import { LineReader } from '../../wire/lines.ts'
import type { Connection, PeerCredentials } from '../../transport/index.ts'

export interface LineLinkHandlers {
  onLine(text: string): void
  /** A line was longer than allowed; it was skipped, or nothing more is read (`fatal`). */
  onTooLong(bytes: number): void
  /** A line was not UTF-8. */
  onInvalid(): void
  /** The peer sends no more. @param cut it stopped within a line */
  onEnd(cut: boolean): void
  /** Everything that was written is with the kernel. */
  onDrain(): void
  /** Once, last. */
  onClose(error: Error | undefined): void
}

export interface LineLinkOptions {
  readonly maxLineBytes: number
  /** After a line that is too long or not UTF-8 nothing more is read. */
  readonly fatal: boolean
  /** How long the end waits for the peer to close too. */
  readonly lingerMs: number
}

/** A connection that carries lines. */
export class LineLink {
  readonly peer: PeerCredentials
  readonly #connection: Connection
  readonly #lingerMs: number
  #linger: NodeJS.Timeout | undefined
  #ended = false
  #closed = false
  /** Closed by us: what has come is not handed on. */
  #dropped = false
  #written = 0

  constructor(connection: Connection, options: LineLinkOptions, handlers: LineLinkHandlers) {
    this.peer = connection.peer
    this.#connection = connection
    this.#lingerMs = options.lingerMs
    const reader = new LineReader({
      maxLineBytes: options.maxLineBytes,
      fatal: options.fatal,
      onLine: (text) => {
        if (!this.#dropped) handlers.onLine(text)
      },
      onTooLong: (bytes) => handlers.onTooLong(bytes),
      onInvalid: () => handlers.onInvalid(),
    })
    connection.handlers = {
      onData: (bytes, start, end) => reader.push(bytes, start, end),
      onEnd: () => handlers.onEnd(reader.end()),
      onDrain: () => handlers.onDrain(),
      onClose: (error) => {
        this.#closed = true
        clearTimeout(this.#linger)
        handlers.onClose(error)
      },
    }
  }

  /** Bytes that the kernel has not taken yet. */
  get bufferedBytes(): number {
    return this.#connection.bufferedBytes
  }

  get takenBytes(): number {
    return this.#connection.takenBytes
  }

  /** Bytes written in all: the kernel has a line when `takenBytes` has reached what this was after it. */
  get writtenBytes(): number {
    return this.#written
  }

  /** No more can be written. */
  get ended(): boolean {
    return this.#ended || this.#closed
  }

  /** @param text whole lines. @returns whether the kernel took all of it */
  write(text: string): boolean {
    if (this.ended) return true
    const bytes = Buffer.from(text)
    this.#written += bytes.length
    return this.#connection.write(bytes, 0, bytes.length)
  }

  pause(): void {
    this.#connection.pause()
  }

  resume(): void {
    this.#connection.resume()
  }

  ref(): void {
    this.#connection.ref()
  }

  unref(): void {
    this.#connection.unref()
  }

  /** What was written still goes, then the peer sees the end. A peer that does not close then is closed after a while. */
  end(): void {
    if (this.ended) return
    this.#ended = true
    this.#connection.resume()
    this.#connection.end()
    // A turn later: a peer that closed while this process was busy is heard before the timer counts (rule B1).
    this.#linger = setTimeout(() => setImmediate(() => this.#connection.close()), this.#lingerMs)
    this.#linger.unref()
  }

  /** At once. `onClose` follows in a later turn. */
  close(): void {
    this.#ended = this.#dropped = true
    this.#connection.close()
  }
}
