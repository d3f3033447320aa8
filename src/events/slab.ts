import type { Frame } from '../wire/frame.ts'
import { HEADER_BYTES } from '../wire/limits.ts'
import { textBytes } from '../wire/text.ts'
import { mostBytes, writeFrame, type Batch } from '../wire/writer.ts'
import { SLAB_BYTES, SLAB_FRAME_BYTES } from './limits.ts'

/**
 * Frames of events, side by side in chunks: an array for each costs more than all else the switchboard does with an
 * event. A chunk lives as long as anything refers to it, so what may be kept for long needs a copy of its own.
 */
export class Slab {
  #shared: Batch | undefined
  #used = 0
  #chunk: Uint8Array | undefined
  #start = 0
  #end = 0

  /** Where the frame lies that was put in last. */
  get chunk(): Uint8Array {
    return this.#chunk!
  }

  get start(): number {
    return this.#start
  }

  get end(): number {
    return this.#end
  }

  /** Encodes a frame behind the one before, or into a new chunk; a large one gets an array of its own size. */
  put(frame: Frame): void {
    const most = mostBytes(frame)
    if (most > SLAB_FRAME_BYTES) {
      this.#putAlone(frame)
      return
    }
    let shared = this.#shared
    if (shared === undefined || this.#used + most > SLAB_BYTES) {
      shared = this.#shared = chunkOf(SLAB_BYTES)
      this.#used = 0
    }
    this.#chunk = shared.bytes
    this.#start = this.#used
    this.#end = this.#used = writeFrame(frame, shared, this.#start)
  }

  #putAlone(frame: Frame): void {
    const { nameText, nameStart, nameEnd } = frame
    const name = nameText === undefined ? nameEnd - nameStart : textBytes(nameText)
    const own = chunkOf(HEADER_BYTES + name + frame.bodyBytes())
    this.#chunk = own.bytes
    this.#start = 0
    this.#end = writeFrame(frame, own, 0)
  }
}

function chunkOf(size: number): Batch {
  const bytes = new Uint8Array(size)
  return { bytes, view: new DataView(bytes.buffer) }
}
