import { ConclaveError } from '../errors/index.ts'
import { FLAG, Frame, KIND } from './frame.ts'
import {
  EARLY_WRITE_BYTES,
  LONG_FRAGMENT_BYTES,
  MAX_BODY_BYTES,
  MAX_FRAGMENT_BYTES,
  MAX_JOINED_BYTES,
  MAX_NAME_BYTES,
  MAX_TRANSFERS,
  TRANSFER_WINDOW_BYTES,
} from './limits.ts'
import { FrameReader } from './reader.ts'
import { textBytes } from './text.ts'
import { Assembly, OutgoingTransfer, type FragmentSink } from './transfer.ts'
import { BatchWriter, type BatchPool, type EncodedFrame } from './writer.ts'

export interface ChannelOptions {
  readonly pool: BatchPool
  /** Hands bytes to the transport, which sends or copies them. @returns false when it had to keep some */
  readonly write: (bytes: Uint8Array, start: number, end: number) => boolean
  /** The channel has something to flush; called once until it is flushed. */
  readonly schedule: (channel: Channel) => void
  /** A whole message. Valid only during the call. */
  readonly onMessage: (frame: Frame) => void
  /**
   * The first fragment of a long message. Answer with a sink to get the fragments as they come (the first included);
   * otherwise they are joined and `onMessage` gets the whole.
   */
  readonly onTransfer?: ((frame: Frame, grant: (bytes: number) => void) => FragmentSink | undefined) | undefined
  /** A long message that was being joined is given up, by its sender or by the end of the link. */
  readonly onAborted?: ((head: Frame) => void) | undefined
  /** The transport takes bytes again: what waits above may go. Its turn and that of the transfers alternate. */
  readonly onWritable?: (() => void) | undefined
  /** Default 16 MiB. */
  readonly maxBodyBytes?: number | undefined
}

const EMPTY = new Uint8Array(0)

interface Incoming {
  readonly sink: FragmentSink
  received: number
  granted: number
  /** Taken by the receiver, not yet announced to the sender. */
  owed: number
}

/**
 * One binary link above its transport: frames both ways, long bodies as interleaved transfers with a window each, one
 * write a turn. Sans-IO: time, sockets and scheduling belong to the caller.
 */
export class Channel {
  readonly #options: ChannelOptions
  readonly #reader: FrameReader
  readonly #writer: BatchWriter
  #maxSendBytes: number
  #maxReceiveBytes: number
  readonly #out = new Map<number, OutgoingTransfer>()
  #waiting: OutgoingTransfer[] = []
  readonly #in = new Map<number, Incoming>()
  /** Incoming bodies that are joined here, oldest first, with the bytes whose window is withheld. */
  readonly #joining = new Map<number, number>()
  #joined = 0
  readonly #scratch = new Frame()
  #nextTransfer = 1
  #scheduled = false
  #blocked = false
  #written = 0
  #transfersFirst = true
  #closed = false

  constructor(options: ChannelOptions) {
    this.#options = options
    this.#maxSendBytes = this.#maxReceiveBytes = options.maxBodyBytes ?? MAX_BODY_BYTES
    this.#reader = new FrameReader((frame) => this.#received(frame))
    this.#writer = new BatchWriter(options.pool, (bytes, start, end) => {
      this.#written += end - start
      if (!options.write(bytes, start, end)) this.#blocked = true
    })
  }

  /** True while the transport keeps bytes: what may wait or be dropped should. */
  get congested(): boolean {
    return this.#blocked
  }

  /** Where in the stream the last frame sent ends: the peer has it once the transport took as many bytes. */
  get position(): number {
    return this.#written + this.#writer.pendingBytes
  }

  get pendingBytes(): number {
    return this.#writer.pendingBytes
  }

  /** Bytes of incoming bodies that are not whole yet. */
  get joinedBytes(): number {
    return this.#joined
  }

  /** @throws `PROTOCOL`, `TOO_LARGE`: the link must close */
  receive(bytes: Uint8Array, start: number, end: number): void {
    this.#reader.push(bytes, start, end)
  }

  /**
   * Queues a message for this turn's write. Name and body are taken before it returns.
   * @returns the transfer, for a body longer than a fragment
   * @throws `TOO_LARGE` before anything is sent
   */
  send(frame: Frame): OutgoingTransfer | undefined {
    if (this.#closed) return undefined
    checkName(frame)
    const bytes = bodyBytes(frame)
    if (bytes > MAX_FRAGMENT_BYTES) return this.#sendLong(frame, bytes)
    this.#writer.frame(frame)
    if (this.#writer.pendingBytes >= EARLY_WRITE_BYTES && isOfCall(frame.kind)) this.#writer.flush()
    this.#schedule()
    return undefined
  }

  /** As `send`, for a frame that is encoded already: its bytes go out as they are, with another `b`. */
  sendEncoded(frame: EncodedFrame, b: number): void {
    if (this.#closed) return
    this.#writer.encoded(frame, b)
    this.#schedule()
  }

  /** PUBLISHED for one publish: those that follow each other in a turn share a frame. */
  acknowledge(publish: number, event: number): void {
    if (this.#closed) return
    this.#writer.acknowledge(this.#scratch, publish, event)
    this.#schedule()
  }

  /**
   * Starts a transfer whose parts come later, through `push` and `pump`.
   * @throws `TOO_LARGE` for its name, before anything is sent
   */
  open(head: Frame): OutgoingTransfer {
    const copy = new Frame()
      .set(head.kind, head.flags & ~FLAG.MORE, head.a, head.b, head.c, head.number, head.time)
      .withName(head.name)
    checkName(copy)
    return this.#start(new OutgoingTransfer(this.#transferId(), copy, undefined, this.#options.pool.blocks))
  }

  /** The other side's limit, told in the handshake: no more is sent to it, and what it lets pass is taken. */
  agree(maxBodyBytes: number): void {
    this.#maxSendBytes = Math.min(this.#maxSendBytes, maxBodyBytes)
    this.#maxReceiveBytes = Math.max(this.#maxReceiveBytes, maxBodyBytes)
  }

  /** Lets the transfers go on after one got bytes or was aborted. */
  pump(): void {
    this.#schedule()
  }

  flush(): void {
    this.#scheduled = false
    if (this.#closed) return
    this.#turn()
    this.#writer.flush()
  }

  /** The transport kept bytes and they are gone now. */
  drained(): void {
    this.#blocked = false
    if (this.#closed) return
    // Each of the two takes all the room it finds, so neither is always the first.
    const transfersFirst = this.#transfersFirst
    this.#transfersFirst = !transfersFirst
    if (transfersFirst) this.flush()
    if (!this.#blocked) this.#options.onWritable?.()
    if (!transfersFirst) this.flush()
  }

  /** Ends all transfers; incoming ones end as aborted. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#writer.discard()
    for (const { sink } of this.#in.values()) sink.fragment(EMPTY, 0, 0, true, true)
    this.#in.clear()
    this.#joining.clear()
    this.#joined = 0
    for (const transfer of [...this.#out.values(), ...this.#waiting]) transfer.close()
    this.#out.clear()
    this.#waiting = []
  }

  #schedule(): void {
    if (this.#scheduled || this.#closed) return
    this.#scheduled = true
    this.#options.schedule(this)
  }

  #sendLong(frame: Frame, bytes: number): OutgoingTransfer {
    if (bytes > this.#maxSendBytes) {
      throw new ConclaveError(
        'TOO_LARGE',
        `A body of ${bytes} bytes exceeds the limit of ${this.#maxSendBytes}; send it in parts, or as a stream.`,
      )
    }
    const head = new Frame()
      .set(frame.kind, frame.flags, frame.a, frame.b, frame.c, frame.number, frame.time)
      .withName(frame.name)
    checkName(head)
    const body = frame.bodyText ?? frame.bytes.subarray(frame.bodyStart, frame.bodyEnd)
    return this.#start(new OutgoingTransfer(this.#transferId(), head, body, this.#options.pool.blocks))
  }

  #start(transfer: OutgoingTransfer): OutgoingTransfer {
    if (this.#out.size < MAX_TRANSFERS) this.#out.set(transfer.id, transfer)
    else {
      // A link that takes nothing would keep them for as long.
      for (const waiting of this.#waiting) if (waiting.forgone) waiting.close()
      this.#waiting = this.#waiting.filter(({ ended }) => !ended)
      this.#waiting.push(transfer)
    }
    this.#schedule()
    return transfer
  }

  #transferId(): number {
    const id = this.#nextTransfer
    this.#nextTransfer = id === 0xffffffff ? 1 : id + 1
    return id
  }

  /** One fragment of each transfer in turn, while the transport takes everything at once. */
  #turn(): void {
    for (const transfer of this.#out.values()) {
      if (this.#blocked) return
      if (!transfer.ready) continue
      if (transfer.next(this.#scratch)) this.#write(this.#scratch)
      this.#out.delete(transfer.id)
      // Behind the others, where this loop comes to it again, or the next turn does.
      if (transfer.spent) this.#finished(transfer)
      else this.#out.set(transfer.id, transfer)
    }
  }

  #write(fragment: Frame): void {
    if (fragment.bodyEnd - fragment.bodyStart < LONG_FRAGMENT_BYTES) this.#writer.frame(fragment)
    else this.#writer.fragment(fragment)
  }

  #finished(transfer: OutgoingTransfer): void {
    while (this.#waiting.length > 0 && this.#out.size < MAX_TRANSFERS) {
      const next = this.#waiting.shift()!
      if (!next.ended) this.#out.set(next.id, next)
    }
    // After those that waited: what its end lets start comes behind them.
    transfer.close()
  }

  #received(frame: Frame): void {
    if (this.#closed) return
    if (frame.kind === KIND.WINDOW) {
      const transfer = this.#out.get(frame.transfer)
      if (transfer === undefined) return
      transfer.grant(Math.min(frame.b, TRANSFER_WINDOW_BYTES))
      this.#schedule()
    } else if (frame.kind === KIND.CHUNK) this.#fragment(this.#in.get(frame.transfer), frame)
    else if ((frame.flags & FLAG.MORE) !== 0) this.#begin(frame)
    else this.#options.onMessage(frame)
  }

  #begin(frame: Frame): void {
    const id = frame.transfer
    if (this.#in.has(id)) throw new ConclaveError('PROTOCOL', `Transfer ${id} was begun twice on one link.`)
    if (this.#in.size >= MAX_TRANSFERS) {
      throw new ConclaveError('PROTOCOL', `More than ${MAX_TRANSFERS} transfers were begun at once on one link.`)
    }
    let sink = this.#options.onTransfer?.(frame, (bytes) => this.#grant(id, bytes))
    if (sink === undefined) {
      this.#joining.set(id, 0)
      const taken = (bytes: number): void => this.#take(id, bytes)
      sink = new Assembly(frame, taken, (message) => this.#options.onMessage(message), this.#options.onAborted)
    }
    const incoming: Incoming = { sink, received: 0, granted: TRANSFER_WINDOW_BYTES, owed: 0 }
    this.#in.set(id, incoming)
    this.#fragment(incoming, frame)
  }

  #fragment(incoming: Incoming | undefined, frame: Frame): void {
    const id = frame.transfer
    if (incoming === undefined)
      throw new ConclaveError('PROTOCOL', `A fragment names transfer ${id}, which is not open.`)
    const bytes = frame.bodyEnd - frame.bodyStart
    const aborted = (frame.flags & FLAG.ABORTED) !== 0
    const last = aborted || (frame.flags & FLAG.MORE) === 0
    incoming.received += bytes
    if (incoming.received > this.#maxReceiveBytes) {
      throw new ConclaveError('TOO_LARGE', `A transfer exceeds the limit of ${this.#maxReceiveBytes} bytes.`)
    }
    if (incoming.received > incoming.granted) {
      throw new ConclaveError('PROTOCOL', `Transfer ${id} exceeds its window of ${TRANSFER_WINDOW_BYTES} bytes.`)
    }
    const total = frame.kind === KIND.CHUNK ? frame.b : 0
    const joins = this.#joining.has(id)
    if (joins) this.#joined += bytes
    if (last) this.#in.delete(id)
    if (last && joins) this.#whole(id, incoming.received)
    incoming.sink.fragment(frame.bytes, frame.bodyStart, frame.bodyEnd, last, aborted, total)
  }

  /** A joined body grows: its sender may go on while there is room for all of them, or it is the oldest. */
  #take(id: number, bytes: number): void {
    const withheld = this.#joining.get(id)
    if (withheld === undefined) return
    const [oldest] = this.#joining.keys()
    const goesOn = this.#joined <= MAX_JOINED_BYTES || id === oldest
    this.#joining.set(id, goesOn ? 0 : withheld + bytes)
    if (goesOn) this.#grant(id, withheld + bytes)
  }

  /** A joined body leaves: others go on, in the order they began. */
  #whole(id: number, bytes: number): void {
    this.#joining.delete(id)
    this.#joined -= bytes
    for (const other of this.#joining.keys()) this.#take(other, 0)
  }

  /** The receiver took bytes: the sender may send as many more, told in steps of a quarter window. */
  #grant(id: number, bytes: number): void {
    const incoming = this.#in.get(id)
    if (incoming === undefined || this.#closed) return
    incoming.owed += bytes
    if (incoming.owed < TRANSFER_WINDOW_BYTES / 4) return
    incoming.granted += incoming.owed
    const frame = new Frame().set(KIND.WINDOW, 0, 0, incoming.owed, 0, 0, 0)
    frame.transfer = id
    incoming.owed = 0
    this.send(frame)
  }
}

function isOfCall(kind: number): boolean {
  return kind === KIND.REQUEST || kind === KIND.RESPONSE
}

/** Exact only where it matters: a text that surely fits a fragment is not measured. */
function bodyBytes(frame: Frame): number {
  const { bodyText } = frame
  if (bodyText === undefined) return frame.bodyEnd - frame.bodyStart
  return bodyText.length * 3 <= MAX_FRAGMENT_BYTES ? bodyText.length : textBytes(bodyText)
}

/** A name that is too long would end the link at the other side, with everything that is on its way there. */
function checkName(frame: Frame): void {
  const { nameText } = frame
  if (nameText === undefined || nameText.length * 3 <= MAX_NAME_BYTES) return
  const bytes = textBytes(nameText)
  if (bytes <= MAX_NAME_BYTES) return
  const text = `A method or topic, with its target, takes ${bytes} bytes; the limit is ${MAX_NAME_BYTES}.`
  throw new ConclaveError('TOO_LARGE', text)
}
