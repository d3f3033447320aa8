import { Buffer } from 'node:buffer'
import { ConclaveError } from '../../../errors/index.ts'

/** @throws `PROTOCOL`, always */
export function malformed(what: string): never {
  throw new ConclaveError('PROTOCOL', `The gob stream is malformed: ${what}.`)
}

/** A cursor over bytes as gob writes them. Every length is compared with what is there before it is used. */
export class Reader {
  readonly #bytes: Buffer
  readonly #double = new DataView(new ArrayBuffer(8))
  /** Where it reads, and where the message ends that it may read. */
  #at = 0
  #end = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Bytes of this message. */
  get left(): number {
    return this.#end - this.#at
  }

  /** Nothing follows this message. */
  get last(): boolean {
    return this.#end === this.#bytes.length
  }

  endMessage(): void {
    if (this.left !== 0) malformed(`${this.left} bytes too many in a message`)
  }

  nextMessage(): void {
    this.endMessage()
    this.#end = this.#bytes.length
    this.#end = this.count() + this.#at
  }

  /** A count of bytes or elements: each takes a byte at least, so more than is left cannot be. */
  count(): number {
    const count = this.uint()
    if (count > this.left) malformed(`it claims ${count} bytes or elements where ${this.left} bytes are left`)
    return Number(count)
  }

  uint(): number | bigint {
    const first = this.#byte()
    if (first < 0x80) return first
    const size = this.#size(first)
    if (size > 6) return sized(this.#bits(size))
    const value = this.#bytes.readUIntBE(this.#at, size)
    this.#at += size
    return value
  }

  int(): number | bigint {
    const value = this.uint()
    if (typeof value === 'number') {
      const half = Math.floor(value / 2)
      return value % 2 === 0 ? half : -half - 1
    }
    return sized((value & 1n) === 0n ? value >> 1n : ~(value >> 1n))
  }

  /** The number of a type. */
  id(): number {
    const id = this.int()
    return typeof id === 'number' ? id : malformed(`type number ${id}`)
  }

  float(): number {
    const first = this.#byte()
    this.#double.setBigUint64(0, first < 0x80 ? BigInt(first) : this.#bits(this.#size(first)), false)
    return this.#double.getFloat64(0, true)
  }

  string(): string {
    const length = this.count()
    this.#at += length
    return this.#bytes.toString('utf8', this.#at - length, this.#at)
  }

  /** A copy: it must not hold the whole stream. */
  bytes(): Uint8Array {
    const length = this.count()
    this.#at += length
    return new Uint8Array(this.#bytes.subarray(this.#at - length, this.#at))
  }

  #byte(): number {
    if (this.left < 1) malformed('it ends too early')
    return this.#bytes[this.#at++]!
  }

  #size(first: number): number {
    const size = 0x100 - first
    if (size > 8) malformed(`a number of ${size} bytes`)
    if (size > this.left) malformed('it ends inside a number')
    return size
  }

  #bits(size: number): bigint {
    let value = 0n
    for (const end = this.#at + size; this.#at < end; this.#at++) value = (value << 8n) | BigInt(this.#bytes[this.#at]!)
    return value
  }
}

function sized(value: bigint): number | bigint {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : value
}
