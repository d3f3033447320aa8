import { Buffer } from 'node:buffer'
import { ConclaveError } from '../../../errors/index.ts'

const FIRST_BYTES = 256
/** A count byte and eight bytes. */
const LONGEST_UINT = 9

/** Bytes as gob writes them, in a buffer that grows up to a limit. */
export class Writer {
  readonly #maxBytes: number
  readonly #double = new DataView(new ArrayBuffer(8))
  #buffer = Buffer.allocUnsafe(FIRST_BYTES)
  #length = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** What was written; valid until the next write. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  /** A byte below 128, or the negated count of bytes and the bytes, the high one first. */
  uint(value: number): void {
    this.#reserve(LONGEST_UINT)
    if (value < 0x80) {
      this.#buffer[this.#length++] = value
      return
    }
    let count = 1
    for (let bound = 0x100; value >= bound && count < 7; bound *= 0x100) count++
    this.#buffer[this.#length++] = 0x100 - count
    for (let at = count - 1; at >= 0; at--) {
      this.#buffer[this.#length + at] = value % 0x100
      value = Math.floor(value / 0x100)
    }
    this.#length += count
  }

  /** The same for up to 64 bits. */
  bigUint(value: bigint): void {
    if (value <= BigInt(Number.MAX_SAFE_INTEGER)) return this.uint(Number(value))
    this.#reserve(LONGEST_UINT)
    const count = value < 1n << 56n ? 7 : 8
    this.#buffer[this.#length] = 0x100 - count
    for (let at = count; at > 0; at--) {
      this.#buffer[this.#length + at] = Number(value & 0xffn)
      value >>= 8n
    }
    this.#length += 1 + count
  }

  /** Shifted left by one; bit 0 says that the rest is complemented. */
  int(value: number): void {
    if (Math.abs(value) < 2 ** 51) this.uint(value < 0 ? -2 * value - 1 : 2 * value)
    else this.bigInt(BigInt(value))
  }

  bigInt(value: bigint): void {
    this.bigUint(value < 0n ? (~value << 1n) | 1n : value << 1n)
  }

  /** The bits of the double, its bytes reversed, as an unsigned integer. */
  float(value: number): void {
    this.#double.setFloat64(0, value, true)
    this.bigUint(this.#double.getBigUint64(0, false))
  }

  string(text: string): void {
    const length = Buffer.byteLength(text)
    this.uint(length)
    this.#reserve(length)
    this.#buffer.write(text, this.#length)
    this.#length += length
  }

  /** Bytes with their count before them. */
  counted(bytes: Uint8Array): void {
    this.uint(bytes.length)
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#buffer.length) return
    if (needed > this.#maxBytes + LONGEST_UINT) {
      throw new ConclaveError('TOO_LARGE', `A gob stream has at most ${this.#maxBytes} bytes: send less at a time.`)
    }
    const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#buffer.length))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }
}
