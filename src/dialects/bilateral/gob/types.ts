import { ConclaveError } from '../../../errors/index.ts'

/** What the bytes of a type with a marshaler of its own (time.Time, say) were made by. */
export type Marshaler = 'gob' | 'binary' | 'text'

/** A field of a struct. */
export interface Field {
  readonly name: string
  readonly type: GobType
}

/** Kinds that every stream knows. */
export type BasicKind = 'bool' | 'int' | 'uint' | 'float' | 'complex' | 'string' | 'bytes' | 'interface'

/** The types of gob by their kind. Where a type names itself inside itself, `lazy` breaks the circle. */
export type Shape =
  | { readonly kind: BasicKind }
  | { readonly kind: 'slice'; readonly elem: GobType }
  | { readonly kind: 'pointer'; readonly elem: GobType }
  | { readonly kind: 'array'; readonly length: number; readonly elem: GobType }
  | { readonly kind: 'map'; readonly key: GobType; readonly elem: GobType }
  | { readonly kind: 'struct'; readonly name: string; readonly fields: readonly Field[] }
  | { readonly kind: 'marshaled'; readonly name: string; readonly by: Marshaler }
  | { readonly kind: 'lazy'; readonly type: () => GobType }

declare const VALUE: unique symbol

/** A type of gob as a value. `T` is the JavaScript value that goes with it; see `Infer`. */
export type GobType<T = unknown> = Shape & { readonly [VALUE]?: T }

/** The value of a type: what `decodeGob(bytes, { as: type })` answers. */
export type Infer<G> = G extends { readonly [VALUE]?: infer T } ? T : never

/** A complex number. */
export interface Complex {
  readonly re: number
  readonly im: number
}

/** What an interface holds: the name under which Go registered the type (`gob.Register`), the type and the value. */
export interface Concrete {
  readonly name: string
  readonly type: GobType
  readonly value: unknown
}

type Fields = Readonly<Record<string, GobType>>
type StructOf<F extends Fields> = { [K in keyof F]: Infer<F[K]> }

/**
 * Builders of types. A number without a safe integer's size is a `bigint`, a map is a `Map`, and zero values are `false`, 0,
 * `''`, no bytes, no elements, and `null` for pointers and interfaces.
 */
export const gob: {
  bool(): GobType<boolean>
  /** All signed integers of Go: 64 bits. */
  int(): GobType<number | bigint>
  /** All unsigned integers of Go: 64 bits. */
  uint(): GobType<number | bigint>
  float(): GobType<number>
  complex(): GobType<Complex>
  /** Text. Go's strings may hold any bytes: what is not UTF-8 arrives as U+FFFD. */
  string(): GobType<string>
  /** `[]byte`. */
  bytes(): GobType<Uint8Array>
  slice<T>(elem: GobType<T>): GobType<T[]>
  /** @throws `INVALID_OPTION` for a length that is none */
  array<T>(length: number, elem: GobType<T>): GobType<T[]>
  map<K, V>(key: GobType<K>, elem: GobType<V>): GobType<Map<K, V>>
  /** Fields in Go's order. A name with a package (`main.Args`) travels without it. */
  struct<F extends Fields>(name: string, fields: F): GobType<StructOf<F>>
  /** A pointer that is nil is `null`. A pointer to a zero value arrives as nil, as it does in Go. */
  pointer<T>(elem: GobType<T>): GobType<T | null>
  interface(): GobType<Concrete | null>
  /** A type with a marshaler: its bytes. */
  marshaled(name: string, by: Marshaler): GobType<Uint8Array>
  /** For a type inside itself: `gob.lazy(() => node)`. */
  lazy(type: () => GobType): GobType
} = {
  bool: () => ({ kind: 'bool' }),
  int: () => ({ kind: 'int' }),
  uint: () => ({ kind: 'uint' }),
  float: () => ({ kind: 'float' }),
  complex: () => ({ kind: 'complex' }),
  string: () => ({ kind: 'string' }),
  bytes: () => ({ kind: 'bytes' }),
  slice: (elem) => ({ kind: 'slice', elem }),
  array(length, elem) {
    if (Number.isSafeInteger(length) && length >= 0) return { kind: 'array', length, elem }
    throw new ConclaveError('INVALID_OPTION', `The length of an array is a whole number from 0, not ${length}.`)
  },
  map: (key, elem) => ({ kind: 'map', key, elem }),
  struct: (name, fields) => ({
    kind: 'struct',
    name,
    fields: Object.entries(fields).map(([field, type]) => ({ name: field, type })),
  }),
  pointer: (elem) => ({ kind: 'pointer', elem }),
  interface: () => ({ kind: 'interface' }),
  marshaled: (name, by) => ({ kind: 'marshaled', name, by }),
  lazy: (type) => ({ kind: 'lazy', type }),
}

/** A type that travels as itself: pointers do not, only what they point to. */
export type Solid = Exclude<Shape, { readonly kind: 'lazy' | 'pointer' }>

/** Longest chain of `lazy` and `pointer` before a solid type. */
const MAX_CHAIN = 32

/** @throws `INVALID_OPTION` for a chain that does not end */
export function solid(type: GobType): Solid {
  let shape: Shape = type
  for (let steps = 0; steps < MAX_CHAIN; steps++) {
    if (shape.kind === 'lazy') shape = shape.type()
    else if (shape.kind === 'pointer') shape = shape.elem
    else return shape
  }
  throw new ConclaveError('INVALID_OPTION', 'A gob type points to itself without end: give it a struct, slice or map.')
}

/** Whether what lies under the `lazy`s is a pointer. */
export function isPointer(type: GobType): boolean {
  let shape: Shape = type
  for (let steps = 0; shape.kind === 'lazy' && steps < MAX_CHAIN; steps++) shape = shape.type()
  return shape.kind === 'pointer'
}

/** Zero for pointers and interfaces, and what is left out. */
export function isNil(value: unknown): value is null | undefined {
  return value === undefined || value === null
}
