import { FLAG, Frame, KIND } from './frame.ts'
import { MAX_FRAGMENT_BYTES, TRANSFER_WINDOW_BYTES } from './limits.ts'

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
  #ended = false
  /** Bytes of a relayed body that went out: the side it comes from may send as many more. */
  onTaken: ((bytes: number) => void) | undefined = undefined
  /** Once: the last fragment went out, or the transfer was given up. */
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
    if (this.#ended) {
      this.onTaken?.(part.length)
      return
    }
    if (part.length > 0) this.#parts.push(part)
    if (last) this.#complete = true
  }

  /** Gives the transfer up: the receiver is told, the message never arrives. */
  abort(): void {
    this.#aborted = true
    this.#parts.length = 0
  }

  grant(bytes: number): void {
    this.#window += bytes
  }

  get ready(): boolean {
    if (this.#ended) return false
    if (this.#aborted) return true
    return (this.#parts.length > 0 && this.#window > 0) || (this.#complete && this.#parts.length === 0)
  }

  /** Writes the next fragment into `frame`. Call only when `ready`. @returns false when nothing need be sent */
  next(frame: Frame): boolean {
    if (this.#aborted) {
      this.#end()
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
    if (last) this.#end()
    return true
  }

  /** The link is gone. */
  close(): void {
    this.#parts.length = 0
    this.#end()
  }

  #end(): void {
    if (this.#ended) return
    this.#ended = true
    this.onEnd?.()
  }
}

/** Where the fragments of an incoming transfer go. */
export interface FragmentSink {
  /** `bytes` are valid only during the call. `aborted` ends the transfer without its message. */
  fragment(bytes: Uint8Array, start: number, end: number, last: boolean, aborted: boolean): void
}

/** Joins the fragments of one incoming message. */
export class Assembly implements FragmentSink {
  readonly #head: Frame
  readonly #parts: Uint8Array[] = []
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
      this.#parts.push(new Uint8Array(bytes.subarray(start, end)))
      this.#bytes += end - start
      this.#taken(end - start)
    }
    if (!last) return
    const whole = new Uint8Array(this.#bytes)
    let at = 0
    for (const part of this.#parts) {
      whole.set(part, at)
      at += part.length
    }
    this.#head.bytes = whole
    this.#head.bodyEnd = whole.length
    this.#done(this.#head)
  }
}
