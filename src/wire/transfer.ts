import { FLAG, Frame, KIND } from './frame.ts'
import { MAX_FRAGMENT_BYTES, TRANSFER_WINDOW_BYTES } from './limits.ts'
import { copyBytes } from './text.ts'

const EMPTY = new Uint8Array(0)

/**
 * A body on its way out in fragments. It takes part in the channel's round-robin while it has bytes and window; a
 * stopped receiver therefore costs its sender one window, not the body (rules B16, F5).
 */
export class OutgoingTransfer {
  readonly id: number
  /** Header and name of the message; the first fragment carries them. */
  readonly #head: Frame
  readonly #parts: Uint8Array[] = []
  #offset = 0
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

  /** @param body the whole of it, or nothing when `push` brings it part by part */
  constructor(id: number, head: Frame, body?: Uint8Array) {
    this.id = id
    this.#head = head
    this.#complete = body !== undefined
    if (body !== undefined) this.#parts.push(body)
  }

  get head(): Frame {
    return this.#head
  }

  get ended(): boolean {
    return this.#ended
  }

  /** Adds a part of a relayed body; the transfer keeps it. */
  push(part: Uint8Array, last: boolean): void {
    if (this.#ended || this.#aborted) {
      this.onTaken?.(part.length)
      return
    }
    if (part.length > 0) this.#parts.push(part)
    if (last) this.#complete = true
  }

  /** Gives the transfer up: the receiver is told, the message never arrives. */
  abort(): void {
    if (this.#spent || this.#ended) return
    this.#aborted = true
    this.#drop()
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
    if (this.#aborted) {
      this.#spent = true
      if (!this.#started) return false
      frame.set(KIND.CHUNK, FLAG.ABORTED, 0, 0, 0, 0, 0).transfer = this.id
      return true
    }
    const part = this.#parts[0]
    const from = this.#offset
    const to = part === undefined ? 0 : Math.min(part.length, from + MAX_FRAGMENT_BYTES, from + this.#window)
    if (part !== undefined && to === part.length) {
      this.#parts.shift()
      this.#offset = 0
    } else this.#offset = to
    const last = this.#complete && this.#parts.length === 0
    const head = this.#head
    if (this.#started) frame.set(KIND.CHUNK, 0, 0, 0, 0, 0, 0)
    else frame.set(head.kind, head.flags & ~FLAG.MORE, head.a, head.b, head.c, head.number, head.time)
    if (!this.#started) frame.nameText = head.name
    this.#started = true
    frame.transfer = this.id
    if (!last) frame.flags |= FLAG.MORE
    if (part !== undefined) {
      frame.bytes = part
      frame.bodyStart = from
      frame.bodyEnd = to
      this.#window -= to - from
      this.onTaken?.(to - from)
    }
    this.#spent = last
    return true
  }

  /** All is written, or the link is gone. Idempotent. */
  close(): void {
    if (this.#ended) return
    this.#ended = true
    this.#drop()
    this.onEnd?.()
  }

  /** The side that sent these parts waits for their window, whatever becomes of them. */
  #drop(): void {
    let bytes = -this.#offset
    for (const part of this.#parts) bytes += part.length
    this.#parts.length = 0
    this.#offset = 0
    if (bytes > 0) this.onTaken?.(bytes)
  }
}

/** Where the fragments of an incoming transfer go. */
export interface FragmentSink {
  /** `bytes` are valid only during the call. `aborted` ends the transfer without its message. */
  fragment(bytes: Uint8Array, start: number, end: number, last: boolean, aborted: boolean): void
}

/** Joins the fragments of one incoming message, in one buffer: a peer that sends it byte by byte costs no more. */
export class Assembly implements FragmentSink {
  readonly #head: Frame
  #buffer: Uint8Array = EMPTY
  readonly #done: (message: Frame) => void
  readonly #taken: (bytes: number) => void
  #bytes = 0

  constructor(head: Frame, taken: (bytes: number) => void, done: (message: Frame) => void) {
    this.#head = new Frame()
      .set(head.kind, head.flags & ~FLAG.MORE, head.a, head.b, head.c, head.number, head.time)
      .withName(head.name)
    this.#taken = taken
    this.#done = done
  }

  fragment(bytes: Uint8Array, start: number, end: number, last: boolean, aborted: boolean): void {
    if (aborted) return
    if (end > start) {
      this.#room(this.#bytes + end - start)
      copyBytes(bytes, start, end, this.#buffer, this.#bytes)
      this.#bytes += end - start
      this.#taken(end - start)
    }
    if (!last) return
    this.#head.bytes = this.#buffer
    this.#head.bodyEnd = this.#bytes
    this.#done(this.#head)
  }

  #room(bytes: number): void {
    if (bytes <= this.#buffer.length) return
    const grown = new Uint8Array(Math.max(bytes, this.#buffer.length * 2))
    copyBytes(this.#buffer, 0, this.#bytes, grown, 0)
    this.#buffer = grown
  }
}
