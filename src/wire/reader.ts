import { ConclaveError } from '../errors/index.ts'
import { FLAG, Frame, KIND } from './frame.ts'
import { HEADER_BYTES, MAX_FRAGMENT_BYTES, MAX_NAME_BYTES } from './limits.ts'
import { copyBytes, readText, textBytes } from './text.ts'

const KNOWN = new Uint8Array(256)
for (const kind of Object.values(KIND)) KNOWN[kind] = 1

/**
 * Bytes in, frames out, in any fragmentation. Frames are parsed where they lie; only a frame that is cut by the end
 * of a chunk is copied, so a reader never holds more than one frame. A fragment of a transfer that is cut is not even
 * held: what is there of its body is handed over, and the rest as CHUNK frames of the same transfer.
 */
export class FrameReader {
  readonly #frame = new Frame()
  readonly #onFrame: (frame: Frame) => void
  #view: DataView = new DataView(new ArrayBuffer(0))
  #viewOf: Uint8Array | undefined
  #partial: Uint8Array | undefined
  #held = 0
  /** Of a fragment that was cut: body bytes to come, its transfer, and the flags of its end. */
  #left = 0
  #leftTransfer = 0
  #leftFlags = 0

  constructor(onFrame: (frame: Frame) => void) {
    this.#onFrame = onFrame
  }

  /** Bytes of an incomplete frame. */
  get heldBytes(): number {
    return this.#held
  }

  /** @throws `PROTOCOL`, `TOO_LARGE`: the stream is out of step, the link must close. What `onFrame` throws passes. */
  push(bytes: Uint8Array, start: number, end: number): void {
    let at = start
    if (this.#held > 0) at = this.#complete(bytes, start, end)
    while (at < end) {
      if (this.#left > 0) {
        at = this.#rest(bytes, at, end)
        continue
      }
      const length = end - at < HEADER_BYTES ? undefined : this.#frameLength(bytes, at)
      if (length === undefined || end - at < length) {
        if (KNOWN[bytes[at]!] !== 1) throw unknownKind(bytes[at]!)
        const least = length === undefined ? HEADER_BYTES : this.#leastLength(bytes, at, length)
        if (end - at >= least) this.#emit(bytes, at, end)
        else this.#hold(bytes, at, end, least)
        return
      }
      this.#emit(bytes, at, end)
      at += length
    }
  }

  /** Adds to the held frame from the new chunk. @returns where the next frame begins */
  #complete(bytes: Uint8Array, start: number, end: number): number {
    let at = start
    if (this.#held < HEADER_BYTES) {
      at += this.#append(bytes, at, end, HEADER_BYTES)
      if (this.#held < HEADER_BYTES) return end
    }
    const length = this.#leastLength(this.#partial!, 0, this.#frameLength(this.#partial!, 0))
    at += this.#append(bytes, at, end, length)
    if (this.#held < length) return end
    const whole = this.#partial!
    this.#partial = undefined
    this.#held = 0
    this.#emit(whole, 0, length)
    return at
  }

  #append(bytes: Uint8Array, start: number, end: number, until: number): number {
    const taken = Math.min(until - this.#held, end - start)
    if (this.#partial!.length < until) {
      const grown = new Uint8Array(until)
      copyBytes(this.#partial!, 0, this.#held, grown, 0)
      this.#partial = grown
    }
    copyBytes(bytes, start, start + taken, this.#partial!, this.#held)
    this.#held += taken
    return taken
  }

  #hold(bytes: Uint8Array, start: number, end: number, length: number): void {
    this.#partial = new Uint8Array(length)
    copyBytes(bytes, start, end, this.#partial, 0)
    this.#held = end - start
  }

  #dataView(bytes: Uint8Array): DataView {
    if (this.#viewOf !== bytes) {
      this.#viewOf = bytes
      this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }
    return this.#view
  }

  #frameLength(bytes: Uint8Array, at: number): number {
    if (KNOWN[bytes[at]!] !== 1) throw unknownKind(bytes[at]!)
    const view = this.#dataView(bytes)
    const nameBytes = view.getUint16(at + 2, true)
    const bodyBytes = view.getUint32(at + 4, true)
    if (nameBytes > MAX_NAME_BYTES) {
      throw new ConclaveError(
        'TOO_LARGE',
        `A frame announces a name of ${nameBytes} bytes; the limit is ${MAX_NAME_BYTES}.`,
      )
    }
    if (bodyBytes > MAX_FRAGMENT_BYTES) {
      throw new ConclaveError(
        'TOO_LARGE',
        `A frame announces a body of ${bodyBytes} bytes; the limit of one frame is ${MAX_FRAGMENT_BYTES}.`,
      )
    }
    return HEADER_BYTES + nameBytes + bodyBytes
  }

  /** How much of a frame must be there before it is handed over: of a fragment, what comes before its body. */
  #leastLength(bytes: Uint8Array, at: number, length: number): number {
    if (bytes[at] !== KIND.CHUNK && (bytes[at + 1]! & FLAG.MORE) === 0) return length
    return HEADER_BYTES + this.#dataView(bytes).getUint16(at + 2, true)
  }

  /** More of a fragment that was cut. @returns where it ends here */
  #rest(bytes: Uint8Array, start: number, end: number): number {
    const taken = Math.min(this.#left, end - start)
    this.#left -= taken
    const frame = this.#frame.set(KIND.CHUNK, this.#left > 0 ? FLAG.MORE : this.#leftFlags, 0, 0, 0, 0, 0)
    frame.transfer = this.#leftTransfer
    frame.bytes = bytes
    frame.bodyStart = start
    frame.bodyEnd = start + taken
    this.#onFrame(frame)
    return start + taken
  }

  /** @param end of the bytes; the body of a fragment may go on behind it */
  #emit(bytes: Uint8Array, at: number, end: number): void {
    const view = this.#dataView(bytes)
    const frame = this.#frame
    const nameStart = at + HEADER_BYTES
    const nameEnd = nameStart + view.getUint16(at + 2, true)
    frame.kind = bytes[at]!
    frame.flags = bytes[at + 1]!
    frame.a = view.getUint32(at + 8, true)
    frame.b = view.getUint32(at + 12, true)
    frame.c = view.getUint32(at + 16, true)
    frame.transfer = view.getUint32(at + 20, true)
    frame.number = view.getFloat64(at + 24, true)
    frame.time = view.getFloat64(at + 32, true)
    frame.bytes = bytes
    frame.nameStart = nameStart
    frame.nameEnd = nameEnd
    frame.bodyStart = nameEnd
    frame.bodyEnd = nameEnd + view.getUint32(at + 4, true)
    frame.nameText = undefined
    frame.bodyText = undefined
    frame.ownsBody = false
    if ((nameEnd - nameStart) * 3 > MAX_NAME_BYTES) checkUtf8(bytes, nameStart, nameEnd)
    // What is not a number compares as false with everything: no deadline would pass, no repeat be noticed.
    if (!(frame.number >= 0 && frame.number <= Number.MAX_SAFE_INTEGER) || frame.time !== frame.time) {
      throw new ConclaveError(
        'PROTOCOL',
        `A frame has number ${frame.number} and time ${frame.time}; the link is closed.`,
      )
    }
    if (frame.bodyEnd > end) {
      this.#left = frame.bodyEnd - end
      this.#leftTransfer = frame.transfer
      this.#leftFlags = frame.flags & (FLAG.MORE | FLAG.ABORTED)
      frame.bodyEnd = end
      frame.flags = (frame.flags & ~FLAG.ABORTED) | FLAG.MORE
    }
    this.#onFrame(frame)
  }
}

/** A name that is passed on is text: bytes that are no UTF-8 would be longer then, beyond the limit of a name. */
function checkUtf8(bytes: Uint8Array, start: number, end: number): void {
  if (textBytes(readText(bytes, start, end)) === end - start) return
  throw new ConclaveError('PROTOCOL', 'A name is not UTF-8; the link is closed.')
}

function unknownKind(kind: number): ConclaveError {
  return new ConclaveError(
    'PROTOCOL',
    `The peer sent a frame of kind 0x${kind.toString(16)}, which this version does not know; the link is closed.`,
  )
}
