import type { BinaryWriter } from '@bufbuild/protobuf/wire'
import { ConclaveError } from '../../errors/index.ts'
import type { MessageParts } from './chunks.ts'
import type { Protobuf } from './protobuf.ts'
import type { Status } from './status.ts'

/** Asks a module to run one of its methods. */
export interface Call {
  readonly module: number
  readonly method: number
  readonly sequence: bigint
  readonly body: Uint8Array
}

export interface Response {
  readonly sequence: bigint
  readonly status: Status
  /** Empty unless the status is SUCCESS. */
  readonly body: Uint8Array
}

/** What is encoded; without a body there is none. */
export type Answer = Omit<Response, 'body'> & Partial<Pick<Response, 'body'>>

const EMPTY = new Uint8Array(0)

/** The sequence of an answer to what could not be decoded. */
export const NO_SEQUENCE = -1n

/**
 * A message with nothing but default values encodes to no bytes, and peers written in C abort on those. This is the field
 * `sequence` of a Response, written although it is 0: every decoder reads the same message.
 */
const EXPLICIT_ZERO: MessageParts = { head: Uint8Array.of(0x08, 0x00), body: EMPTY }

/** A longer body is not copied into its message. */
const COPIED_BODY_BYTES = 4096

/**
 * Calls and answers as bytes. Their few fields are written and read with the wire functions of @bufbuild/protobuf, by the
 * numbers of the generated schemas: a third of the time that `toBinary` and `fromBinary` take, the same bytes (tested),
 * and a long body is never copied.
 */
export class MessageCodec {
  readonly #BinaryReader: Protobuf['BinaryReader']
  readonly #writer: BinaryWriter
  readonly #call: { readonly module: Field; readonly method: Field; readonly sequence: Field; readonly body: Field }
  readonly #response: { readonly sequence: Field; readonly status: Field; readonly body: Field }

  constructor({ BinaryReader, BinaryWriter, CallSchema, ResponseSchema }: Protobuf) {
    this.#BinaryReader = BinaryReader
    this.#writer = new BinaryWriter()
    const { module, method, sequence, body } = CallSchema.field
    this.#call = {
      module: field(module, VARINT),
      method: field(method, VARINT),
      sequence: field(sequence, VARINT),
      body: field(body, LENGTH_DELIMITED),
    }
    const response = ResponseSchema.field
    this.#response = {
      sequence: field(response.sequence, VARINT),
      status: field(response.status, VARINT),
      body: field(response.body, LENGTH_DELIMITED),
    }
  }

  /** @throws `INVALID_OPTION` for a number that is no int32 */
  encodeCall({ module, method, sequence, body }: Call): MessageParts {
    if ((module | 0) !== module || (method | 0) !== method) {
      throw new ConclaveError('INVALID_OPTION', `Module ${module}, method ${method}: both must be 32-bit integers.`)
    }
    const writer = this.#writer
    if (module !== 0) writer.uint32(this.#call.module.tag).int32(module)
    if (method !== 0) writer.uint32(this.#call.method.tag).int32(method)
    if (sequence !== 0n) writer.uint32(this.#call.sequence.tag).int64(sequence)
    return this.#finish(this.#call.body.tag, body)
  }

  encodeResponse({ sequence, status, body = EMPTY }: Answer): MessageParts {
    const writer = this.#writer
    if (sequence !== 0n) writer.uint32(this.#response.sequence.tag).int64(sequence)
    if (status !== 0) writer.uint32(this.#response.status.tag).int32(status)
    return this.#finish(this.#response.body.tag, body)
  }

  /** As above, but never nothing. */
  encodeAnswer(answer: Answer): MessageParts {
    const message = this.encodeResponse(answer)
    return message.head.length === 0 ? EXPLICIT_ZERO : message
  }

  /** The body is the last field of both messages. */
  #finish(tag: number, body: Uint8Array): MessageParts {
    const writer = this.#writer
    if (body.length === 0) return { head: writer.finish(), body: EMPTY }
    writer.uint32(tag)
    if (body.length <= COPIED_BODY_BYTES) return { head: writer.bytes(body).finish(), body: EMPTY }
    return { head: writer.uint32(body.length).finish(), body }
  }

  /** Parts of `bytes` become the body. @throws `PROTOCOL` */
  decodeCall(bytes: Uint8Array): Call {
    const fields = this.#call
    let module = 0
    let method = 0
    let sequence = 0n
    let body: Uint8Array = EMPTY
    try {
      const reader = new this.#BinaryReader(bytes)
      while (reader.pos < reader.len) {
        const [number, wireType] = reader.tag()
        // A known field of another form is an unknown field.
        switch ((number << 3) | wireType) {
          case fields.module.tag:
            module = reader.int32()
            break
          case fields.method.tag:
            method = reader.int32()
            break
          case fields.sequence.tag:
            sequence = BigInt(reader.int64())
            break
          case fields.body.tag:
            body = reader.bytes()
            break
          default:
            reader.skip(wireType, number)
        }
      }
    } catch (cause) {
      throw new ConclaveError('PROTOCOL', 'The bytes of a message are not a call.', { cause })
    }
    return { module, method, sequence, body }
  }

  /** @throws `PROTOCOL` */
  decodeResponse(bytes: Uint8Array): Response {
    const fields = this.#response
    let sequence = 0n
    let status = 0
    let body: Uint8Array = EMPTY
    try {
      const reader = new this.#BinaryReader(bytes)
      while (reader.pos < reader.len) {
        const [number, wireType] = reader.tag()
        switch ((number << 3) | wireType) {
          case fields.sequence.tag:
            sequence = BigInt(reader.int64())
            break
          case fields.status.tag:
            status = reader.int32()
            break
          case fields.body.tag:
            body = reader.bytes()
            break
          default:
            reader.skip(wireType, number)
        }
      }
    } catch (cause) {
      throw new ConclaveError('PROTOCOL', 'The bytes of a message are not an answer.', { cause })
    }
    return { sequence, status, body }
  }
}

/** Wire types of protobuf. */
const VARINT = 0
const LENGTH_DELIMITED = 2

interface Field {
  /** Number and wire type. */
  readonly tag: number
}

function field({ number }: { readonly number: number }, wireType: number): Field {
  return { tag: (number << 3) | wireType }
}
