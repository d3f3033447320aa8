import { BlockPool } from './blocks.ts'
import { KIND, type Frame } from './frame.ts'
import {
  BATCH_BYTES,
  HEADER_BYTES,
  UNBATCHED_BYTES,
  POOLED_BATCHES,
  POOLED_SMALL_BATCHES,
  SMALL_BATCH_BYTES,
} from './limits.ts'
import { copyBytes, textBytes, writeText } from './text.ts'

export interface Batch {
  readonly bytes: Uint8Array
  readonly view: DataView
}

/** Batch buffers that links borrow for the length of a turn, so that a thousand idle links hold none. */
export class BatchPool {
  readonly blocks: BlockPool = new BlockPool()
  readonly #free: Batch[] = []
  readonly #small: Batch[] = []

  /** One with room for so many bytes: small, of the usual size, or, for a frame beyond it, of its own. */
  take(bytes: number): Batch {
    const small = bytes <= SMALL_BATCH_BYTES
    const pooled = small ? this.#small.pop() : bytes <= BATCH_BYTES ? this.#free.pop() : undefined
    if (pooled !== undefined) return pooled
    const buffer = new Uint8Array(small ? SMALL_BATCH_BYTES : Math.max(bytes, BATCH_BYTES))
    return { bytes: buffer, view: new DataView(buffer.buffer) }
  }

  give(batch: Batch): void {
    const { length } = batch.bytes
    if (length === SMALL_BATCH_BYTES) {
      if (this.#small.length < POOLED_SMALL_BATCHES) this.#small.push(batch)
    } else if (length === BATCH_BYTES && this.#free.length < POOLED_BATCHES) this.#free.push(batch)
  }
}

/** The most bytes that a frame can take: texts are not measured. */
export function mostBytes({ nameText, nameStart, nameEnd, bodyText, bodyStart, bodyEnd }: Frame): number {
  const name = nameText === undefined ? nameEnd - nameStart : nameText.length * 3
  return HEADER_BYTES + name + (bodyText === undefined ? bodyEnd - bodyStart : bodyText.length * 3)
}

/** Encodes a frame at `at`, where there is room for it. @returns where it ends */
export function writeFrame(frame: Frame, { bytes, view }: Batch, at: number): number {
  const { nameText, bodyText, nameStart, nameEnd, bodyStart, bodyEnd } = frame
  const start = at + HEADER_BYTES
  let body: number
  let end: number
  if (nameText === undefined && bodyText === undefined && nameEnd === bodyStart) {
    // As it was received: name and body lie side by side.
    body = start + nameEnd - nameStart
    end = start + bodyEnd - nameStart
    copyBytes(frame.bytes, nameStart, bodyEnd, bytes, start)
  } else {
    body = end = start
    if (nameText !== undefined) body = end += writeText(bytes, nameText, end)
    else if (nameEnd > nameStart) {
      copyBytes(frame.bytes, nameStart, nameEnd, bytes, end)
      body = end += nameEnd - nameStart
    }
    if (bodyText !== undefined) end += writeText(bytes, bodyText, end)
    else if (bodyEnd > bodyStart) {
      copyBytes(frame.bytes, bodyStart, bodyEnd, bytes, end)
      end += bodyEnd - bodyStart
    }
  }
  writeHeader(view, at, frame, body - start, end - body)
  return end
}

function writeHeader(view: DataView, at: number, frame: Frame, nameBytes: number, bodyBytes: number): void {
  view.setUint8(at, frame.kind)
  view.setUint8(at + 1, frame.flags)
  view.setUint16(at + 2, nameBytes, true)
  view.setUint32(at + 4, bodyBytes, true)
  view.setUint32(at + 8, frame.a, true)
  view.setUint32(at + B_OFFSET, frame.b, true)
  view.setUint32(at + 16, frame.c, true)
  view.setUint32(at + 20, frame.transfer, true)
  view.setFloat64(at + 24, frame.number, true)
  view.setFloat64(at + 32, frame.time, true)
}

/** Where field `b` lies in a frame. */
const B_OFFSET = 12

/** A whole frame, encoded once for many links: what differs between them is field `b`. */
export interface EncodedFrame {
  readonly chunk: Uint8Array
  readonly start: number
  readonly end: number
  /** What its bytes say. */
  readonly b: number
}

/** Gathers a turn's frames in one buffer and hands it over in one write. */
export class BatchWriter {
  readonly #pool: BatchPool
  readonly #write: (bytes: Uint8Array, start: number, end: number) => void
  #batch: Batch | undefined
  #length = 0
  /** Encoded frames side by side in one chunk, behind the batch: alone they are written from where they lie. */
  #run: Uint8Array | undefined
  #runStart = 0
  #runEnd = 0
  #runB = 0
  #runFits = true
  /** Where the PUBLISHED frame ends that was written last, and what it would be extended by. */
  #ackEnd = 0
  #ackNext = 0
  #ackNextEvent = 0

  /** @param write takes the bytes before it returns: sends or copies them */
  constructor(pool: BatchPool, write: (bytes: Uint8Array, start: number, end: number) => void) {
    this.#pool = pool
    this.#write = write
  }

  /** Bytes gathered, not yet written. */
  get pendingBytes(): number {
    return this.#run === undefined ? this.#length : this.#length + this.#runEnd - this.#runStart
  }

  frame(frame: Frame): void {
    const batch = this.#room(mostBytes(frame))
    this.#length = writeFrame(frame, batch, this.#length)
  }

  /** @param frame its bytes must not change any more */
  encoded(frame: EncodedFrame, b: number): void {
    const { chunk, start, end } = frame
    if (this.#run !== chunk || this.#runEnd !== start || this.#runB !== b) {
      // Not once: a write may send the next frame.
      while (this.#run !== undefined) this.#gather()
      this.#run = chunk
      this.#runStart = start
      this.#runB = b
      this.#runFits = true
    }
    this.#runEnd = end
    if (frame.b !== b) this.#runFits = false
  }

  /** PUBLISHED for one publish; what goes on with the frame before makes that one longer. */
  acknowledge(scratch: Frame, publish: number, event: number): void {
    const goesOn = publish === this.#ackNext && event === this.#ackNextEvent
    if (goesOn && this.#ackEnd > 0 && this.#ackEnd === this.#length && this.#run === undefined) {
      const { view } = this.#batch!
      const at = this.#ackEnd - HEADER_BYTES + B_OFFSET
      view.setUint32(at, view.getUint32(at, true) + 1, true)
    } else {
      this.frame(scratch.set(KIND.PUBLISHED, 0, 0, 1, event, publish, 0))
      this.#ackEnd = this.#length
    }
    this.#ackNext = publish + 1
    this.#ackNextEvent = event + 1
  }

  /**
   * A long fragment, at once, and with no copy: header and name are written into the room that its transfer left in front
   * of the body.
   */
  fragment(frame: Frame): void {
    this.flush()
    const { bytes, nameText } = frame
    const nameBytes = nameText === undefined ? 0 : textBytes(nameText)
    const at = frame.bodyStart - nameBytes - HEADER_BYTES
    if (nameText !== undefined) writeText(bytes, nameText, at + HEADER_BYTES)
    const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEADER_BYTES)
    writeHeader(view, 0, frame, nameBytes, frame.bodyEnd - frame.bodyStart)
    this.#write(bytes, at, frame.bodyEnd)
  }

  /** Bytes of another form: a JSON line. */
  text(text: string): void {
    const batch = this.#room(text.length * 3)
    this.#length += writeText(batch.bytes, text, this.#length)
  }

  flush(): void {
    const run = this.#run
    if (run !== undefined && this.#length === 0 && this.#runFits) {
      this.#run = undefined
      this.#write(run, this.#runStart, this.#runEnd)
      return
    }
    this.#gather()
    this.#flush()
  }

  /** Drops what was gathered. */
  discard(): void {
    if (this.#batch !== undefined) this.#pool.give(this.#batch)
    this.#batch = undefined
    this.#run = undefined
    this.#length = 0
    this.#ackEnd = 0
  }

  #flush(): void {
    const batch = this.#batch
    if (batch === undefined) return
    const length = this.#length
    this.#batch = undefined
    this.#length = 0
    this.#ackEnd = 0
    if (length > 0) this.#write(batch.bytes, 0, length)
    this.#pool.give(batch)
  }

  /** Something else follows the run, or its frames have to be changed: it moves into the batch, or goes out if it is long. */
  #gather(): void {
    const run = this.#run
    if (run === undefined) return
    this.#run = undefined
    const length = this.#runEnd - this.#runStart
    if (length >= UNBATCHED_BYTES && this.#length === 0 && this.#runFits) {
      this.#write(run, this.#runStart, this.#runEnd)
      return
    }
    const { bytes, view } = this.#reserve(length)
    let at = this.#length
    const end = (this.#length += length)
    copyBytes(run, this.#runStart, this.#runEnd, bytes, at)
    if (this.#runFits) return
    for (; at < end; at += HEADER_BYTES + view.getUint16(at + 2, true) + view.getUint32(at + 4, true)) {
      view.setUint32(at + B_OFFSET, this.#runB, true)
    }
  }

  #room(bytes: number): Batch {
    this.#gather()
    return this.#reserve(bytes)
  }

  #reserve(bytes: number): Batch {
    const batch = this.#batch
    const needed = this.#length + bytes
    if (batch !== undefined && needed <= batch.bytes.length) return batch
    if (batch?.bytes.length === SMALL_BATCH_BYTES && needed <= BATCH_BYTES) return this.#grow(batch)
    this.#flush()
    return (this.#batch = this.#pool.take(bytes))
  }

  /** The turn is a busy one: what was gathered moves to a buffer of the full size. */
  #grow(small: Batch): Batch {
    const batch = this.#pool.take(BATCH_BYTES)
    copyBytes(small.bytes, 0, this.#length, batch.bytes, 0)
    this.#pool.give(small)
    return (this.#batch = batch)
  }
}
