import { ConclaveError } from '../../errors/index.ts'
import type { Status as GeneratedStatus } from './gen/drpc_pb.ts'
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

const EMPTY = new Uint8Array(0)

/** The sequence of an answer to what could not be decoded. */
export const NO_SEQUENCE = -1n

/**
 * A message with nothing but default values encodes to no bytes, and peers written in C abort on those. This is the field
 * `sequence` of a Response, written although it is 0: every decoder reads the same message.
 */
const EXPLICIT_ZERO = Uint8Array.of(0x08, 0x00)

const READING = { readUnknownFields: false }

/** Calls and answers as bytes, with the generated code. */
export class MessageCodec {
  readonly #protobuf: Protobuf

  constructor(protobuf: Protobuf) {
    this.#protobuf = protobuf
  }

  /** @throws `INVALID_OPTION` for a number that is no int32 */
  encodeCall({ module, method, sequence, body }: Call): Uint8Array {
    const { create, toBinary, CallSchema } = this.#protobuf
    if ((module | 0) !== module || (method | 0) !== method) {
      throw new ConclaveError('INVALID_OPTION', `Module ${module}, method ${method}: both must be 32-bit integers.`)
    }
    return toBinary(CallSchema, create(CallSchema, { module, method, sequence, body }))
  }

  encodeResponse({ sequence, status, body = EMPTY }: Omit<Response, 'body'> & Partial<Response>): Uint8Array {
    const { create, toBinary, ResponseSchema } = this.#protobuf
    return toBinary(ResponseSchema, create(ResponseSchema, { sequence, status: status as GeneratedStatus, body }))
  }

  /** As above, but never nothing. */
  encodeAnswer(response: Omit<Response, 'body'> & Partial<Response>): Uint8Array {
    const bytes = this.encodeResponse(response)
    return bytes.length === 0 ? EXPLICIT_ZERO : bytes
  }

  /** Parts of `bytes` become the body. @throws `PROTOCOL` */
  decodeCall(bytes: Uint8Array): Call {
    const { fromBinary, CallSchema } = this.#protobuf
    const { module, method, sequence, body } = decode(() => fromBinary(CallSchema, bytes, READING), 'a call')
    return { module, method, sequence, body }
  }

  /** @throws `PROTOCOL` */
  decodeResponse(bytes: Uint8Array): Response {
    const { fromBinary, ResponseSchema } = this.#protobuf
    const { sequence, status, body } = decode(() => fromBinary(ResponseSchema, bytes, READING), 'an answer')
    return { sequence, status, body }
  }
}

function decode<T>(read: () => T, what: string): T {
  try {
    return read()
  } catch (cause) {
    throw new ConclaveError('PROTOCOL', `The bytes of a message are not ${what}.`, { cause })
  }
}
