import { ConclaveError } from '../../errors/index.ts'

type Library = typeof import('@bufbuild/protobuf')
type Wire = typeof import('@bufbuild/protobuf/wire')
type Generated = typeof import('./gen/drpc_pb.ts')

/** What is needed of @bufbuild/protobuf, and the messages made with it. */
export interface Protobuf
  extends
    Pick<Library, 'create' | 'fromBinary' | 'toBinary'>,
    Pick<Wire, 'BinaryReader' | 'BinaryWriter'>,
    Pick<Generated, 'CallSchema' | 'ResponseSchema' | 'StatusSchema'> {}

let loading: Promise<Protobuf> | undefined

/** Loaded at first use: `conclave/drpc` can be imported without it. @throws `UNSUPPORTED` when it is not installed */
export function loadProtobuf(): Promise<Protobuf> {
  return (loading ??= load(() =>
    Promise.all([import('@bufbuild/protobuf'), import('@bufbuild/protobuf/wire'), import('./gen/drpc_pb.ts')]),
  ))
}

/** @internal */
export async function load(modules: () => Promise<[Library, Wire, Generated]>): Promise<Protobuf> {
  try {
    const [
      { create, fromBinary, toBinary },
      { BinaryReader, BinaryWriter },
      { CallSchema, ResponseSchema, StatusSchema },
    ] = await modules()
    return { create, fromBinary, toBinary, BinaryReader, BinaryWriter, CallSchema, ResponseSchema, StatusSchema }
  } catch (cause) {
    throw new ConclaveError(
      'UNSUPPORTED',
      'conclave/drpc needs the package @bufbuild/protobuf, version 2.17 or newer: run `npm install @bufbuild/protobuf`.',
      { cause },
    )
  }
}
