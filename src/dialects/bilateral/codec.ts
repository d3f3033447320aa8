import type { ConclaveError } from '../../errors/index.ts'
import type { Payload } from './commands.ts'
import type { GobType } from './gob/index.ts'

/** The field of the arguments that existing nodes fill in on the receiving side. */
export const SENDER_FIELD = 'Bilateral_SENDER'

/** How gob carries the arguments and the reply of a method. Without it, the value itself decides; JSON needs neither. */
export interface MethodTypes {
  readonly args?: GobType | undefined
  readonly reply?: GobType | undefined
}

/** A CALL or CAST that was read. */
export interface Request {
  readonly id: number | bigint
  readonly method: string
  /** @throws `INVALID_PARAMS` for what cannot be decoded, or is not of the type */
  readonly args: (types: MethodTypes | undefined) => unknown
}

/** A BACK that was read. */
export interface Answer {
  readonly id: number | bigint
  readonly method: string
  readonly error: ConclaveError | undefined
  /** @throws `INVALID_RESULT` for what cannot be decoded, or is not of the type */
  readonly reply: (types: MethodTypes | undefined) => unknown
}

/** How calls are written. Both ends need the same. */
export interface Codec {
  readonly name: 'gob' | 'json'
  /** @throws `INVALID_REQUEST` for arguments it cannot hold */
  encodeCall(id: number, method: string, args: unknown, types: MethodTypes | undefined): Payload
  /** `undefined`: not even id and method can be read. */
  decodeCall(data: Buffer): Request | undefined
  /** `error` is what a handler threw, if it did. */
  encodeBack(request: Request, failure: Failure | undefined, reply: unknown, types: MethodTypes | undefined): Payload
  decodeBack(data: Buffer): Answer | undefined
}

/** What a handler threw. */
export interface Failure {
  readonly error: unknown
}
