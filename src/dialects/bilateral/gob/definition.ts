import { gob, type GobType } from './types.ts'

/** Numbers of the types that every stream knows. */
export const BASIC = {
  bool: 1,
  int: 2,
  uint: 3,
  float: 4,
  bytes: 5,
  string: 6,
  complex: 7,
  interface: 8,
} as const

/** Below it, numbers are gob's own. Go's first one is 65. */
export const FIRST_OWN_TYPE = 64

type Id = number | bigint
type Common = { Name: string; Id: Id }

const COMMON: GobType<Common> = gob.struct('CommonType', { Name: gob.string(), Id: gob.int() })
const OF: { readonly CommonType: GobType<Common> } = { CommonType: COMMON }
const MARSHALED: GobType<{ CommonType: Common } | null> = gob.pointer(gob.struct('gobEncoderType', OF))

type Definitions = {
  ArrayT: { CommonType: Common; Elem: Id; Len: Id } | null
  SliceT: { CommonType: Common; Elem: Id } | null
  StructT: { CommonType: Common; Field: { Name: string; Id: Id }[] } | null
  MapT: { CommonType: Common; Key: Id; Elem: Id } | null
  GobEncoderT: { CommonType: Common } | null
  BinaryMarshalerT: { CommonType: Common } | null
  TextMarshalerT: { CommonType: Common } | null
}

/** How a type is defined, itself a gob struct: `wireType` of https://pkg.go.dev/encoding/gob. One field is set. */
export const DEFINITION: GobType<Definitions> = gob.struct('wireType', {
  ArrayT: gob.pointer(gob.struct('arrayType', { ...OF, Elem: gob.int(), Len: gob.int() })),
  SliceT: gob.pointer(gob.struct('sliceType', { ...OF, Elem: gob.int() })),
  StructT: gob.pointer(
    gob.struct('structType', {
      ...OF,
      Field: gob.slice(gob.struct('fieldType', { Name: gob.string(), Id: gob.int() })),
    }),
  ),
  MapT: gob.pointer(gob.struct('mapType', { ...OF, Key: gob.int(), Elem: gob.int() })),
  GobEncoderT: MARSHALED,
  BinaryMarshalerT: MARSHALED,
  TextMarshalerT: MARSHALED,
})
