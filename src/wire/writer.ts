import type { Frame } from './frame.ts'
import { BATCH_BYTES, HEADER_BYTES, POOLED_BATCHES } from './limits.ts'
import { copyBytes, writeText } from './text.ts'

export interface Batch {
  readonly bytes: Uint8Array
  readonly view: DataView
}

/** Batch buffers that links borrow for the length of a turn, so that a thousand idle links hold none. */
export class BatchPool {
  readonly #free: Batch[] = []

  take(bytes: number): Batch {
    if (bytes <= BATCH_BYTES) {
      const pooled = this.#free.pop()
      if (pooled !== undefined) return pooled
    }
    const buffer = new Uint8Array(Math.max(bytes, BATCH_BYTES))
    return { bytes: buffer, view: new DataView(buffer.buffer) }
  }

  give(batch: Batch): void {
    if (batch.bytes.length === BATCH_BYTES && this.#free.length < POOLED_BATCHES) this.#free.push(batch)
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
    view.setUint16(at + 2, end - at - HEADER_BYTES, true)
    const body = end
    if (bodyText !== undefined) end += writeText(bytes, bodyText, end)
    else if (bodyMost > 0) {
      copyBytes(frame.bytes, frame.bodyStart, frame.bodyEnd, bytes, end)
      end += bodyMost
    }
    bytes[at] = frame.kind
    bytes[at + 1] = frame.flags
    view.setUint32(at + 4, end - body, true)
    view.setUint32(at + 8, frame.a, true)
    view.setUint32(at + 12, frame.b, true)
    view.setUint32(at + 16, frame.c, true)
    view.setUint32(at + 20, frame.transfer, true)
    view.setFloat64(at + 24, frame.number, true)
    view.setFloat64(at + 32, frame.time, true)
    this.#length = end
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
    if (this.#batch !== undefined && this.#length + bytes > this.#batch.bytes.length) this.flush()
    return (this.#batch ??= this.#pool.take(bytes))
  }
}
