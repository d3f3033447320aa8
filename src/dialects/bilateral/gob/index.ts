/** Go's encoding/gob (https://pkg.go.dev/encoding/gob): streams of values with their types. */
import { ConclaveError } from '../../../errors/index.ts'
import { GobDecoder } from './decoder.ts'
import { GobEncoder } from './encoder.ts'
import type { GobLimits } from './limits.ts'
import type { GobType } from './types.ts'

export { GobDecoder } from './decoder.ts'
export { GobEncoder } from './encoder.ts'
export { gob, type Complex, type Concrete, type GobType, type Infer, type Marshaler } from './types.ts'
export { MAX_GOB_BYTES, MAX_GOB_DEPTH, MAX_GOB_ELEMENTS, MAX_GOB_TYPES, type GobLimits } from './limits.ts'

/** A whole stream: definitions, then the value. @throws as `GobEncoder.encode` */
export function encodeGob(type: GobType, value: unknown): Uint8Array {
  return new GobEncoder().encode(type, value)
}

export interface DecodeOptions<T> extends GobLimits {
  /** The type that is wanted: fields are matched by name, and zero values filled in. Default: what the stream describes. */
  readonly as: GobType<T>
}

/** The one value of a stream. @throws as `GobDecoder.next`; `PROTOCOL` for none or several */
export function decodeGob<T>(bytes: Uint8Array, options: DecodeOptions<T>): T
export function decodeGob(bytes: Uint8Array, limits?: GobLimits): unknown
export function decodeGob(bytes: Uint8Array, options: Partial<DecodeOptions<unknown>> = {}): unknown {
  const decoder = new GobDecoder(bytes, options)
  const value = decoder.next(options.as)
  if (value !== undefined && decoder.next() === undefined) return value
  throw new ConclaveError('PROTOCOL', 'The gob stream does not hold exactly one value: read it with GobDecoder.')
}
