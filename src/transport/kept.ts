import { KEPT_LONG_PIECE_BYTES, KEPT_PIECE_BYTES, SPARE_PIECES } from './limits.ts'

/** Long pieces that are free again: a new one each time that the kernel is full would keep the collector busy. */
const spare: Uint8Array[] = []

function pieceOf(bytes: number): Uint8Array {
  if (bytes <= KEPT_PIECE_BYTES) return new Uint8Array(KEPT_PIECE_BYTES)
  return bytes > KEPT_LONG_PIECE_BYTES ? new Uint8Array(bytes) : (spare.pop() ?? new Uint8Array(KEPT_LONG_PIECE_BYTES))
}

function free(piece: Uint8Array): void {
  if (piece.length === KEPT_LONG_PIECE_BYTES && spare.length < SPARE_PIECES) spare.push(piece)
}

/** Copies of bytes that could not be sent yet, in order. */
export interface Kept {
  readonly size: number
  add(bytes: Uint8Array, start: number, end: number): void
  /**
   * Sends until nothing is left or `send` takes less than it was given.
   * @param send returns how many bytes it took; negative ends with that number
   * @returns 0, or the negative number
   */
  drain(send: (bytes: Uint8Array, start: number, end: number) => number): number
  clear(): void
}

/** Small ones share a piece. */
export class KeptBytes implements Kept {
  #pieces: Uint8Array[] = []
  /** Where the unsent bytes of the first piece begin, and where those of the last one end. */
  #start = 0
  #end = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  add(bytes: Uint8Array, start: number, end: number): void {
    this.#size += end - start
    const last = this.#pieces.at(-1)
    if (last !== undefined) {
      const fits = Math.min(end - start, last.length - this.#end)
      last.set(bytes.subarray(start, start + fits), this.#end)
      this.#end += fits
      start += fits
    }
    if (start === end) return
    const piece = pieceOf(end - start)
    piece.set(bytes.subarray(start, end))
    // A piece that is followed by another is always full, so one `#end` is enough.
    this.#pieces.push(piece)
    this.#end = end - start
  }

  drain(send: (bytes: Uint8Array, start: number, end: number) => number): number {
    while (this.#size > 0) {
      const piece = this.#pieces[0] as Uint8Array
      const end = this.#pieces.length === 1 ? this.#end : piece.length
      const taken = send(piece, this.#start, end)
      if (taken < 0) return taken
      this.#size -= taken
      this.#start += taken
      if (this.#start < end) return 0
      free(this.#pieces.shift()!)
      this.#start = 0
    }
    return 0
  }

  clear(): void {
    for (const piece of this.#pieces) free(piece)
    this.#pieces = []
    this.#start = this.#end = this.#size = 0
  }
}

/** Each `add` is one packet, and is sent by one call or not at all. */
export class KeptPackets implements Kept {
  #packets: Uint8Array[] = []
  /** Those before it are sent. */
  #next = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  add(bytes: Uint8Array, start: number, end: number): void {
    const packet = new Uint8Array(end - start)
    packet.set(bytes.subarray(start, end))
    if (this.#next > this.#packets.length / 2) {
      this.#packets.splice(0, this.#next)
      this.#next = 0
    }
    this.#packets.push(packet)
    this.#size += packet.length
  }

  drain(send: (bytes: Uint8Array, start: number, end: number) => number): number {
    while (this.#size > 0) {
      const packet = this.#packets[this.#next] as Uint8Array
      const taken = send(packet, 0, packet.length)
      if (taken <= 0) return taken
      this.#size -= packet.length
      this.#next++
    }
    this.clear()
    return 0
  }

  clear(): void {
    this.#packets = []
    this.#next = this.#size = 0
  }
}
