import { BlockPool } from './blocks.ts'
import type { Frame } from './frame.ts'
import { BATCH_BYTES, HEADER_BYTES, POOLED_BATCHES, POOLED_SMALL_BATCHES, SMALL_BATCH_BYTES } from './limits.ts'
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

/** Gathers a turn's frames in one buffer and hands it over in one write. */
export class BatchWriter {
  readonly #pool: BatchPool
  readonly #write: (bytes: Uint8Array, start: number, end: number) => void
  #batch: Batch | undefined
  #length = 0

  /** @param write takes the bytes before it returns: sends or copies them */
  constructor(pool: BatchPool, write: (bytes: Uint8Array, start: number, end: number) => void) {
    this.#pool = pool
    this.#write = write
  }

  /** Bytes gathered, not yet written. */
  get pendingBytes(): number {
    return this.#length
  }

  frame(frame: Frame): void {
    const { nameText, bodyText } = frame
    const nameMost = nameText === undefined ? frame.nameEnd - frame.nameStart : nameText.length * 3
    const bodyMost = bodyText === undefined ? frame.bodyEnd - frame.bodyStart : bodyText.length * 3
    const batch = this.#room(HEADER_BYTES + nameMost + bodyMost)
    const { bytes, view } = batch
    const at = this.#length
    let end = at + HEADER_BYTES
    if (nameText !== undefined) end += writeText(bytes, nameText, end)
    else if (nameMost > 0) {
      copyBytes(frame.bytes, frame.nameStart, frame.nameEnd, bytes, end)
      end += nameMost
    }
    const nameBytes = end - at - HEADER_BYTES
    const body = end
    if (bodyText !== undefined) end += writeText(bytes, bodyText, end)
    else if (bodyMost > 0) {
      copyBytes(frame.bytes, frame.bodyStart, frame.bodyEnd, bytes, end)
      end += bodyMost
    }
    writeHeader(view, at, frame, nameBytes, end - body)
    this.#length = end
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
    const batch = this.#batch
    if (batch === undefined) return
    const length = this.#length
    this.#batch = undefined
    this.#length = 0
    if (length > 0) this.#write(batch.bytes, 0, length)
    this.#pool.give(batch)
  }

  /** Drops what was gathered. */
  discard(): void {
    if (this.#batch !== undefined) this.#pool.give(this.#batch)
    this.#batch = undefined
    this.#length = 0
  }

  #room(bytes: number): Batch {
    const batch = this.#batch
    const needed = this.#length + bytes
    if (batch !== undefined && needed <= batch.bytes.length) return batch
    if (batch?.bytes.length === SMALL_BATCH_BYTES && needed <= BATCH_BYTES) return this.#grow(batch)
    this.flush()
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

function writeHeader(view: DataView, at: number, frame: Frame, nameBytes: number, bodyBytes: number): void {
  view.setUint8(at, frame.kind)
  view.setUint8(at + 1, frame.flags)
  view.setUint16(at + 2, nameBytes, true)
  view.setUint32(at + 4, bodyBytes, true)
  view.setUint32(at + 8, frame.a, true)
  view.setUint32(at + 12, frame.b, true)
  view.setUint32(at + 16, frame.c, true)
  view.setUint32(at + 20, frame.transfer, true)
  view.setFloat64(at + 24, frame.number, true)
  view.setFloat64(at + 32, frame.time, true)
}
