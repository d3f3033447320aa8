/*
 * Messages as packets and back: pure, bytes in and bytes out. A packet is one chunk of a message behind a header of 24
 * bytes: u64 bytes of the whole message, u64 bytes of this chunk, u32 index, u32 number of chunks; little-endian.
 */
import { ConclaveError } from '../../errors/index.ts'
import { CHUNK_BYTES, HEADER_BYTES, MAX_MESSAGE_BYTES } from './limits.ts'

export interface ChunkHeader {
  /** Of the whole message. Exact up to 2^53; what is larger only needs to be refused. */
  readonly totalBytes: number
  /** Of this chunk. */
  readonly chunkBytes: number
  readonly index: number
  readonly count: number
}

/** The caller knows that 24 bytes are there. */
export function readHeader(bytes: Uint8Array, at: number): ChunkHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, HEADER_BYTES)
  const word = (offset: number): number => view.getUint32(offset, true)
  return {
    totalBytes: word(4) * 2 ** 32 + word(0),
    chunkBytes: word(12) * 2 ** 32 + word(8),
    index: word(16),
    count: word(20),
  }
}

export function writeHeader(bytes: Uint8Array, { totalBytes, chunkBytes, index, count }: ChunkHeader): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES)
  view.setUint32(0, totalBytes >>> 0, true)
  view.setUint32(4, totalBytes / 2 ** 32, true)
  view.setUint32(8, chunkBytes >>> 0, true)
  view.setUint32(12, chunkBytes / 2 ** 32, true)
  view.setUint32(16, index, true)
  view.setUint32(20, count, true)
}

/** How many packets a message takes. An empty one takes a header. */
export function packetCount(messageBytes: number): number {
  return Math.max(1, Math.ceil(messageBytes / CHUNK_BYTES))
}

/**
 * Writes packet `index` of a message.
 * @param into at least PACKET_BYTES
 * @returns its length
 */
export function writePacket(message: Uint8Array, index: number, into: Uint8Array): number {
  const start = index * CHUNK_BYTES
  const end = Math.min(message.length, start + CHUNK_BYTES)
  writeHeader(into, {
    totalBytes: message.length,
    chunkBytes: end - start,
    index,
    count: packetCount(message.length),
  })
  into.set(start === 0 && end === message.length ? message : message.subarray(start, end), HEADER_BYTES)
  return HEADER_BYTES + end - start
}

/** All packets of a message. */
export function packetsOf(message: Uint8Array): Uint8Array[] {
  return Array.from({ length: packetCount(message.length) }, (_, index) => {
    const packet = new Uint8Array(Math.min(CHUNK_BYTES, message.length - index * CHUNK_BYTES) + HEADER_BYTES)
    writePacket(message, index, packet)
    return packet
  })
}

/** `answer`: the peer is told, by status FAILED_UNMARSHAL_CALL, before it is left; otherwise it is left without a word. */
export type FaultKind = 'answer' | 'silent'

/** What is wrong with a packet. Nothing after it can be trusted: the connection must be closed. */
export class ChunkFault extends ConclaveError {
  readonly kind: FaultKind

  constructor(kind: FaultKind, message: string, code: 'PROTOCOL' | 'TOO_LARGE' = 'PROTOCOL') {
    super(code, message)
    this.kind = kind
  }
}

/** Least bytes that are set aside for a message of several chunks. */
const FIRST_PIECE_BYTES = 256 * 1024

/**
 * Packets back into messages. What a header announces is never believed: no byte is read that did not arrive, and memory
 * grows with what has arrived, at most twice as fast, never with what is announced.
 */
export class Assembler {
  readonly #maxMessageBytes: number
  /** Of the message under way; `#count` is 0 while there is none. */
  #total = 0
  #count = 0
  #next = 0
  #filled = 0
  #bytes: Uint8Array = new Uint8Array(0)

  constructor(maxMessageBytes: number = MAX_MESSAGE_BYTES) {
    this.#maxMessageBytes = maxMessageBytes
  }

  /** Set aside for a message of which more must come. */
  get pendingBytes(): number {
    return this.#count === 0 ? 0 : this.#bytes.length
  }

  /** True when no message is under way. */
  get idle(): boolean {
    return this.#count === 0
  }

  /**
   * Takes one packet: bytes `start` to `end` of `bytes`, which may be reused afterwards.
   * @returns the message, when this was its last packet
   * @throws ChunkFault
   */
  push(bytes: Uint8Array, start: number, end: number): Uint8Array | undefined {
    const length = end - start - HEADER_BYTES
    if (length < 0) throw new ChunkFault('silent', `A packet of ${end - start} bytes has no room for a header.`)
    const header = readHeader(bytes, start)
    this.#check(header, length)
    const { totalBytes, chunkBytes, count } = header
    // What lies behind the chunk in its packet is ignored, as by every peer.
    const from = start + HEADER_BYTES
    if (count === 1) {
      const message = new Uint8Array(chunkBytes)
      message.set(bytes.subarray(from, from + chunkBytes))
      return message
    }
    if (this.#count === 0) {
      this.#count = count
      this.#total = totalBytes
    }
    this.#append(bytes.subarray(from, from + chunkBytes))
    if (++this.#next < count) return undefined
    const message = this.#bytes
    this.#reset()
    return message
  }

  #check({ totalBytes, chunkBytes, index, count }: ChunkHeader, length: number): void {
    if (count === 0) throw new ChunkFault('answer', 'A message of 0 chunks was announced.')
    if (this.#count !== 0 && count !== this.#count) {
      throw new ChunkFault('answer', `The number of chunks changed from ${this.#count} to ${count}.`)
    }
    if (index >= count) throw new ChunkFault('answer', `Chunk ${index} of ${count}: there is no such chunk.`)
    if (index !== this.#next) throw new ChunkFault('silent', `Chunk ${index} came where ${this.#next} was due.`)
    if (this.#count !== 0 && totalBytes !== this.#total) {
      throw new ChunkFault('silent', `The size of the message changed from ${this.#total} to ${totalBytes}.`)
    }
    if (chunkBytes > length) {
      throw new ChunkFault('answer', `A chunk of ${chunkBytes} bytes was announced and ${length} came.`)
    }
    if (totalBytes > this.#maxMessageBytes) {
      const text = `A message of ${totalBytes} bytes was announced; at most ${this.#maxMessageBytes} are taken (maxMessageBytes).`
      throw new ChunkFault('answer', text, 'TOO_LARGE')
    }
    const filled = this.#filled + chunkBytes
    const last = index === count - 1
    // Every chunk before the last brings something and leaves something: so their number is bounded by the size.
    if (last ? filled !== totalBytes : chunkBytes === 0 || filled >= totalBytes) {
      const text = `With chunk ${index + 1} of ${count}, ${filled} of ${totalBytes} bytes are there: that does not fit.`
      throw new ChunkFault('silent', text)
    }
  }

  #append(chunk: Uint8Array): void {
    const filled = this.#filled + chunk.length
    if (filled > this.#bytes.length) {
      const larger = new Uint8Array(Math.min(this.#total, Math.max(filled, 2 * this.#bytes.length, FIRST_PIECE_BYTES)))
      larger.set(this.#bytes.subarray(0, this.#filled))
      this.#bytes = larger
    }
    this.#bytes.set(chunk, this.#filled)
    this.#filled = filled
  }

  #reset(): void {
    this.#total = this.#count = this.#next = this.#filled = 0
    this.#bytes = new Uint8Array(0)
  }
}
