import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf'
import { marshaling, unmarshalingPayload } from './failure.ts'
import { loadProtobuf, type Protobuf } from './protobuf.ts'

/** A message as the bytes of a body, for handlers of raw methods. @throws the failure FAILED_MARSHAL */
export async function marshal<S extends DescMessage>(schema: S, message: MessageInitShape<S>): Promise<Uint8Array> {
  return encodeBody(await loadProtobuf(), schema, message)
}

/** The message in a body. @throws the failure FAILED_UNMARSHAL_PAYLOAD */
export async function unmarshal<S extends DescMessage>(schema: S, body: Uint8Array): Promise<MessageShape<S>> {
  return decodeBody(await loadProtobuf(), schema, body)
}

export function encodeBody<S extends DescMessage>(
  { create, toBinary }: Protobuf,
  schema: S,
  message: MessageInitShape<S>,
): Uint8Array {
  try {
    return toBinary(schema, create(schema, message))
  } catch (cause) {
    throw Object.assign(marshaling(), { cause })
  }
}

export function decodeBody<S extends DescMessage>(
  { fromBinary }: Protobuf,
  schema: S,
  body: Uint8Array,
): MessageShape<S> {
  try {
    return fromBinary(schema, body)
  } catch (cause) {
    throw Object.assign(unmarshalingPayload(), { cause })
  }
}
