import { encodeText, readText, textBytes } from './text.ts'

/**
 * What a frame is. The values lie between 0x80 and 0xBF: UTF-8 never starts with such a byte, so the first byte of a
 * link tells binary frames from JSON lines (rule B19). docs/wire.md describes each kind and its fields.
 */
export const KIND = {
  HELLO: 0x80,
  WELCOME: 0x81,
  REFUSE: 0x82,
  GOODBYE: 0x83,
  GOAWAY: 0x84,
  TERM_END: 0x85,
  PING: 0x86,
  PONG: 0x87,
  MEMBER: 0x88,
  REQUEST: 0x90,
  RESPONSE: 0x91,
  FAILURE: 0x92,
  ITEM: 0x93,
  CANCEL: 0x94,
  CREDIT: 0x95,
  TAKEN: 0x96,
  OFFER: 0x97,
  WITHDRAW: 0x98,
  QUERY: 0x99,
  PUBLISH: 0xa0,
  PUBLISHED: 0xa1,
  SUBSCRIBE: 0xa2,
  SUBSCRIBED: 0xa3,
  UNSUBSCRIBE: 0xa4,
  EVENT: 0xa5,
  MISSED: 0xa6,
  CHUNK: 0xb0,
  WINDOW: 0xb1,
} as const

export const FLAG = {
  /** The body goes on in CHUNK frames of the same transfer. */
  MORE: 1,
  /** The body is bytes, not JSON. */
  RAW: 2,
  IDEMPOTENT: 4,
  /** REQUEST: the caller reads items. */
  STREAM: 8,
  /** REQUEST: no answer but TAKEN is expected. */
  NOTIFY: 16,
  /** MISSED: the count is a lower bound. */
  INEXACT: 32,
  /** CHUNK: the transfer ends here without its message. */
  ABORTED: 64,
  /** PUBLISH, EVENT: the data is for those who subscribed; whoever shows events to people shows `[sensitive]` instead. */
  SENSITIVE: 128,
} as const

/** How a REQUEST names its target, in field `c`. */
export const TARGET = { DEFAULT: 0, PRIMARY: 1, ANY: 2, SLOT: 3, ID: 4, NAME: 5 } as const

const EMPTY = new Uint8Array(0)

/**
 * One frame, decoded or to be encoded. Reused by readers and senders: name and body are views that are valid only
 * during the call that hands the frame over. Either the text or the slice of `bytes` holds name and body.
 */
export class Frame {
  kind = 0
  flags = 0
  /** A member's slot: target or sender. */
  a = 0
  /** Subscription id, attempt, credit in bytes, or length of a whole body, by kind. */
  b = 0
  /** Target mode, event number, state of a member, or who says that a call failed, by kind. */
  c = 0
  /** Id of a transfer on its link, else 0. */
  transfer = 0
  /** Number of a call or a publish of its member. */
  number = 0
  /** CLOCK_MONOTONIC deadline or wall clock in milliseconds, by kind. */
  time = 0
  bytes: Uint8Array = EMPTY
  nameStart = 0
  nameEnd = 0
  bodyStart = 0
  bodyEnd = 0
  nameText: string | undefined = undefined
  bodyText: string | undefined = undefined
  /** The body is all of `bytes`, and nobody else's: whoever takes it need not copy it. */
  ownsBody = false

  /** Starts a new frame in this object; every field is set or cleared. */
  set(kind: number, flags: number, a: number, b: number, c: number, number: number, time: number): this {
    this.kind = kind
    this.flags = flags
    this.a = a
    this.b = b
    this.c = c
    this.transfer = 0
    this.number = number
    this.time = time
    this.bytes = EMPTY
    this.nameStart = this.nameEnd = this.bodyStart = this.bodyEnd = 0
    this.nameText = undefined
    this.bodyText = undefined
    this.ownsBody = false
    return this
  }

  withName(name: string): this {
    this.nameText = name
    return this
  }

  /** A string is JSON text, bytes are raw; the RAW flag follows. */
  withBody(body: string | Uint8Array): this {
    if (typeof body === 'string') {
      this.bodyText = body
      this.flags &= ~FLAG.RAW
    } else {
      this.flags |= FLAG.RAW
      this.withBytes(body)
    }
    return this
  }

  /** Body bytes as they are; flags stay. */
  withBytes(bytes: Uint8Array): this {
    if (this.nameText === undefined && this.nameEnd > this.nameStart) this.nameText = this.name
    this.nameStart = this.nameEnd = 0
    this.bytes = bytes
    this.bodyStart = 0
    this.bodyEnd = bytes.length
    this.bodyText = undefined
    this.ownsBody = false
    return this
  }

  get name(): string {
    return this.nameText ?? readText(this.bytes, this.nameStart, this.nameEnd)
  }

  /** The body as text. */
  get text(): string {
    return this.bodyText ?? readText(this.bytes, this.bodyStart, this.bodyEnd)
  }

  get hasBody(): boolean {
    return this.bodyText === undefined ? this.bodyEnd > this.bodyStart : this.bodyText.length > 0
  }

  get raw(): boolean {
    return (this.flags & FLAG.RAW) !== 0
  }

  bodyBytes(): number {
    return this.bodyText === undefined ? this.bodyEnd - this.bodyStart : textBytes(this.bodyText)
  }

  /** A copy of the body that outlives the frame. */
  copyBody(): Uint8Array<ArrayBuffer> {
    if (this.bodyText === undefined) return new Uint8Array(this.bytes.subarray(this.bodyStart, this.bodyEnd))
    return encodeText(this.bodyText)
  }

  /** The body for its reader to keep: the bytes themselves, to the first that asks, when the frame owns them. */
  takeBody(): Uint8Array<ArrayBuffer> {
    if (!this.ownsBody) return this.copyBody()
    this.ownsBody = false
    return this.bytes as Uint8Array<ArrayBuffer>
  }

  /** A copy with its own name and body. */
  clone(): Frame {
    const copy = new Frame().set(this.kind, this.flags, this.a, this.b, this.c, this.number, this.time)
    copy.transfer = this.transfer
    copy.nameText = this.name
    copy.bodyText = this.bodyText
    if (this.bodyText === undefined) {
      copy.bytes = this.copyBody()
      copy.bodyEnd = copy.bytes.length
    }
    return copy
  }
}
