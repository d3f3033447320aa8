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
  return {
    totalBytes: word(bytes, at + 4) * 2 ** 32 + word(bytes, at),
    chunkBytes: word(bytes, at + 12) * 2 ** 32 + word(bytes, at + 8),
    index: word(bytes, at + 16),
    count: word(bytes, at + 20),
  }
}

export function writeHeader(bytes: Uint8Array, { totalBytes, chunkBytes, index, count }: ChunkHeader): void {
  putWord(bytes, 0, totalBytes)
  putWord(bytes, 4, totalBytes / 2 ** 32)
  putWord(bytes, 8, chunkBytes)
  putWord(bytes, 12, chunkBytes / 2 ** 32)
  putWord(bytes, 16, index)
  putWord(bytes, 20, count)
}

// A DataView for each packet would cost more than these.
function word(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
  const high = (bytes[at + 2] as number) | ((bytes[at + 3] as number) << 8)
  return ((high << 16) | low) >>> 0
}

function putWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value
  bytes[at + 1] = value >>> 8
  bytes[at + 2] = value >>> 16
  bytes[at + 3] = value >>> 24
}

/** How many packets a message takes. An empty one takes a header. */
export function packetCount(messageBytes: number): number {
  return Math.max(1, Math.ceil(messageBytes / CHUNK_BYTES))
}

/** The bytes of a message in one or two parts: what is encoded, and a long body that is not copied behind it. */
export interface MessageParts {
  readonly head: Uint8Array
  readonly body: Uint8Array
}

export function bytesOf({ head, body }: MessageParts): number {
  return head.length + body.length
}

/**
 * Writes packet `index` of a message.
 * @param into at least PACKET_BYTES
 * @returns its length
 */
export function writePacket(message: MessageParts, index: number, into: Uint8Array): number {
  const totalBytes = bytesOf(message)
  const start = index * CHUNK_BYTES
  const end = Math.min(totalBytes, start + CHUNK_BYTES)
  writeHeader(into, { totalBytes, chunkBytes: end - start, index, count: packetCount(totalBytes) })
  const { head, body } = message
  if (start < head.length) into.set(end < head.length ? head.subarray(start, end) : head.subarray(start), HEADER_BYTES)
  if (end > head.length) {
    const from = Math.max(0, start - head.length)
    into.set(body.subarray(from, end - head.length), HEADER_BYTES + Math.max(0, head.length - start))
  }
  return HEADER_BYTES + end - start
}

const NO_BYTES = new Uint8Array(0)

/** All packets of a message. */
export function packetsOf(message: Uint8Array): Uint8Array[] {
  return Array.from({ length: packetCount(message.length) }, (_, index) => {
    const packet = new Uint8Array(Math.min(CHUNK_BYTES, message.length - index * CHUNK_BYTES) + HEADER_BYTES)
    writePacket({ head: message, body: NO_BYTES }, index, packet)
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

/** By how much what is set aside for a message of several chunks grows: few copies, and never much beyond what came. */
const GROWTH = 4

/**
 * Packets back into messages. What a header announces is never believed: no byte is read that did not arrive, and memory
 * grows with what has arrived, never with what is announced.
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
      const larger = new Uint8Array(Math.min(this.#total, Math.max(filled, GROWTH * this.#bytes.length)))
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
