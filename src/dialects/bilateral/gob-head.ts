import { Buffer, isUtf8 } from 'node:buffer'

/*
 * The first values of a message, which have basic types and hence no definitions: gob's message is its length, the
 * number of its type, a zero byte and the value. Read here one by one, so that a call whose arguments cannot be read is
 * still answered under its id.
 */

/** Types uint and string, as the signed numbers travel. */
const UINT = 3 << 1
const STRING = 6 << 1
const LONGEST_UINT = 8

/** One byte below 128; else the negated count of the bytes that follow, big-endian. */
function uintBytes(value: number | bigint): Buffer {
  if (value < 128) return Buffer.from([Number(value)])
  const bytes = Buffer.alloc(1 + LONGEST_UINT)
  bytes.writeBigUInt64BE(BigInt(value), 1)
  let from = 1
  while (bytes[from] === 0) from++
  bytes[from - 1] = 256 - (1 + LONGEST_UINT - from)
  return bytes.subarray(from - 1)
}

export function uintMessage(value: number | bigint): Buffer {
  return message(UINT, uintBytes(value))
}

export function stringMessage(text: string): Buffer {
  const bytes = Buffer.from(text)
  return message(STRING, Buffer.concat([uintBytes(bytes.length), bytes]))
}

function message(type: number, value: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from([type, 0]), value])
  return Buffer.concat([uintBytes(body.length), body])
}

/** Nothing that it is given makes it throw. */
export class HeadReader {
  #bytes: Buffer

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  /** What has not been read. */
  get rest(): Buffer {
    return this.#bytes
  }

  /** `undefined`: the next message is none. */
  uint(): number | bigint | undefined {
    const value = this.#message(UINT)
    const found = value && readUint(value)
    return found?.length === value?.length ? found?.value : undefined
  }

  /** Text that comes back as the same bytes. */
  string(): string | undefined {
    const bytes = this.#text()
    return bytes !== undefined && isUtf8(bytes) ? bytes.toString() : undefined
  }

  /** For people: Go's strings may hold any bytes, and what is not UTF-8 is shown as U+FFFD. */
  anyText(): string | undefined {
    return this.#text()?.toString()
  }

  #text(): Buffer | undefined {
    const value = this.#message(STRING)
    const found = value && readUint(value)
    if (value === undefined || found === undefined) return undefined
    const bytes = value.subarray(found.length)
    return BigInt(bytes.length) === BigInt(found.value) ? bytes : undefined
  }

  /** The value of the next message, which has to be of that type. */
  #message(type: number): Buffer | undefined {
    const length = readUint(this.#bytes)
    if (length === undefined) return undefined
    const end = length.length + Number(length.value)
    if (end > this.#bytes.length) return undefined
    const body = this.#bytes.subarray(length.length, end)
    if (body[0] !== type || body[1] !== 0) return undefined
    this.#bytes = this.#bytes.subarray(end)
    return body.subarray(2)
  }
}

function readUint(bytes: Buffer): { readonly value: number | bigint; readonly length: number } | undefined {
  const [first] = bytes
  if (first === undefined) return undefined
  if (first < 128) return { value: first, length: 1 }
  const count = 256 - first
  if (count > LONGEST_UINT || bytes.length < 1 + count) return undefined
  let value = 0n
  for (const byte of bytes.subarray(1, 1 + count)) value = (value << 8n) | BigInt(byte)
  return { value: value <= Number.MAX_SAFE_INTEGER ? Number(value) : value, length: 1 + count }
}
