import { FLAG, Frame, KIND } from './frame.ts'
import type { BlockPool } from './blocks.ts'
import { FORETOLD_FACTOR, HEADER_BYTES, MAX_FRAGMENT_BYTES, TRANSFER_WINDOW_BYTES } from './limits.ts'
import { bareBytes, copyBytes, textBytes, writeText } from './text.ts'

const EMPTY = new Uint8Array(0)

/** Bytes on their way out, with room in front of them for a fragment's header; what was sent of them is such room too. */
interface Part {
  readonly bytes: Uint8Array
  /** Where what has not gone out begins, and where all of it ends. */
  at: number
  readonly end: number
  /** Whether its bytes are a block of the pool's. */
  readonly pooled: boolean
}

/**
 * A body on its way out in fragments. It takes part in the channel's round-robin while it has bytes and window; a
 * stopped receiver therefore costs its sender one window, not the body (rules B16, F5).
 */
export class OutgoingTransfer {
  readonly id: number
  /** Header and name of the message; the first fragment carries them. */
  readonly #head: Frame
  readonly #blocks: BlockPool | undefined
  readonly #parts: Part[] = []
  /** Went out with the last fragment; its block is free when that is written. */
  #written: Part | undefined
  /** Of the whole body, where that is known: its receiver makes room for it. */
  total = 0
  #waiting = 0
  #window = TRANSFER_WINDOW_BYTES
  #started = false
  #complete: boolean
  #aborted = false
  /** Nothing more is to be written. */
  #spent = false
  #ended = false
  /** Bytes of a relayed body that went out, or will never: the side it comes from may send as many more. */
  onTaken: ((bytes: number) => void) | undefined = undefined
  /** Once: the last fragment was written, so that what is sent from here follows it; or the transfer was given up. */
  onEnd: (() => void) | undefined = undefined

  /**
   * @param body the whole of it, which is copied; nothing when `push` brings it part by part
   * @param blocks where the memory of bytes comes from and goes back to
   */
  constructor(id: number, head: Frame, body?: Uint8Array | string, blocks?: BlockPool) {
    this.id = id
    this.#head = head
    this.#blocks = blocks
    this.#complete = body !== undefined
    if (typeof body === 'string') {
      this.total = textBytes(body)
      const part = this.#part(this.total)
      writeText(part.bytes, body, part.at)
    } else if (body !== undefined) {
      this.total = body.length
      this.#copy(body)
    }
  }

  get head(): Frame {
    return this.#head
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Adds a part of a relayed body, which is copied. */
  push(bytes: Uint8Array, last: boolean): void {
    if (this.#ended || this.#aborted) {
      this.onTaken?.(bytes.length)
      return
    }
    this.#copy(bytes)
    if (last) this.#complete = true
  }

  /** Gives the transfer up: the receiver is told, the message never arrives. */
  abort(): void {
    if (this.#spent || this.#ended) return
    this.#aborted = true
    this.#drop()
  }

  /** Given up before anything of it went out: nobody need be told. */
  get forgone(): boolean {
    return this.#aborted && !this.#started
  }

  /** Bytes that are here and have not gone out. */
  get waitingBytes(): number {
    return this.#waiting
  }

  grant(bytes: number): void {
    this.#window += bytes
  }

  /** The last fragment was handed out: call `close` once it is written. */
  get spent(): boolean {
    return this.#spent
  }

  get ready(): boolean {
    if (this.#ended || this.#spent) return false
    if (this.#aborted) return true
    return (this.#parts.length > 0 && this.#window > 0) || (this.#complete && this.#parts.length === 0)
  }

  /** Writes the next fragment into `frame`. Call only when `ready`. @returns false when nothing need be sent */
  next(frame: Frame): boolean {
    this.#freeWritten()
    if (this.#aborted) {
      this.#spent = true
      if (!this.#started) return false
      frame.set(KIND.CHUNK, FLAG.ABORTED, 0, 0, 0, 0, 0).transfer = this.id
      return true
    }
    const part = this.#parts[0]
    const from = part === undefined ? 0 : part.at
    const to = part === undefined ? 0 : Math.min(part.end, from + MAX_FRAGMENT_BYTES, from + this.#window)
    if (part !== undefined) {
      part.at = to
      if (to === part.end) this.#written = this.#parts.shift()
    }
    const last = this.#complete && this.#parts.length === 0
    const head = this.#head
    if (this.#started) frame.set(KIND.CHUNK, 0, 0, this.total, 0, 0, 0)
    else frame.set(head.kind, head.flags & ~FLAG.MORE, head.a, head.b, head.c, head.number, head.time)
    if (!this.#started) frame.nameText = head.name
    this.#started = true
    frame.transfer = this.id
    if (!last) frame.flags |= FLAG.MORE
    if (part !== undefined) {
      frame.bytes = part.bytes
      frame.bodyStart = from
      frame.bodyEnd = to
      this.#window -= to - from
      this.#waiting -= to - from
      this.onTaken?.(to - from)
    }
    this.#spent = last
    return true
  }

  /** All is written, or the link is gone. Idempotent. */
  close(): void {
    if (this.#ended) return
    this.#ended = true
    this.#freeWritten()
    this.#drop()
    this.onEnd?.()
  }

  #copy(bytes: Uint8Array): void {
    for (let from = 0; from < bytes.length; from += MAX_FRAGMENT_BYTES) {
      const to = Math.min(bytes.length, from + MAX_FRAGMENT_BYTES)
      const part = this.#part(to - from)
      copyBytes(bytes, from, to, part.bytes, part.at)
    }
  }

  /** Room for a part; the first fragment takes its name along. Short ones are left to the collector. */
  #part(bytes: number): Part {
    const at = HEADER_BYTES + (this.#started || this.#parts.length > 0 ? 0 : textBytes(this.#head.name))
    const long = bytes > MAX_FRAGMENT_BYTES / 2 && bytes <= MAX_FRAGMENT_BYTES
    const block = long ? this.#blocks?.take() : undefined
    const part = { bytes: block ?? bareBytes(at + bytes), at, end: at + bytes, pooled: block !== undefined }
    this.#parts.push(part)
    this.#waiting += bytes
    return part
  }

  /** The side that sent these parts waits for their window, whatever becomes of them. */
  #drop(): void {
    const bytes = this.#waiting
    for (const part of this.#parts) this.#free(part)
    this.#parts.length = 0
    this.#waiting = 0
    if (bytes > 0) this.onTaken?.(bytes)
  }

  #freeWritten(): void {
    if (this.#written !== undefined) this.#free(this.#written)
    this.#written = undefined
  }

  #free(part: Part): void {
    if (part.pooled) this.#blocks?.give(part.bytes)
  }
}

/** Where the fragments of an incoming transfer go. */
export interface FragmentSink {
  /**
   * `bytes` are valid only during the call. `aborted` ends the transfer without its message. `total` is what the sender
   * says that the whole body has, 0 when it does not.
   */
  fragment(bytes: Uint8Array, start: number, end: number, last: boolean, aborted: boolean, total?: number): void
}

/** Joins the fragments of one incoming message, in one buffer: a peer that sends it byte by byte costs no more. */
export class Assembly implements FragmentSink {
  readonly #head: Frame
  #buffer: Uint8Array = EMPTY
  readonly #done: (message: Frame) => void
  readonly #taken: (bytes: number) => void
  readonly #aborted: ((head: Frame) => void) | undefined
  #bytes = 0

  constructor(
    head: Frame,
    taken: (bytes: number) => void,
    done: (message: Frame) => void,
    aborted?: (head: Frame) => void,
  ) {
    this.#head = new Frame()
      .set(head.kind, head.flags & ~FLAG.MORE, head.a, head.b, head.c, head.number, head.time)
      .withName(head.name)
    this.#taken = taken
    this.#done = done
    this.#aborted = aborted
  }

  fragment(bytes: Uint8Array, start: number, end: number, last: boolean, aborted: boolean, total = 0): void {
    if (aborted) {
      this.#aborted?.(this.#head)
      return
    }
    if (end > start) {
      this.#room(this.#bytes + end - start, total)
      copyBytes(bytes, start, end, this.#buffer, this.#bytes)
      this.#bytes += end - start
      this.#taken(end - start)
    }
    if (!last) return
    this.#head.bytes = this.#buffer
    this.#head.bodyEnd = this.#bytes
    this.#head.ownsBody = this.#bytes === this.#buffer.length
    this.#done(this.#head)
  }

  /** For all that is foretold, as far as enough has come to believe it. */
  #room(bytes: number, total: number): void {
    if (bytes <= this.#buffer.length) return
    const foretold = Math.min(total, bytes * FORETOLD_FACTOR)
    const grown = bareBytes(foretold >= bytes ? foretold : Math.max(bytes, this.#buffer.length * 2))
    copyBytes(this.#buffer, 0, this.#bytes, grown, 0)
    this.#buffer = grown
  }
}
