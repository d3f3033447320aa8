import { ConclaveError } from '../../../errors/index.ts'
import { DEFINITION } from './definition.ts'
import { MAX_GOB_BYTES, MAX_GOB_DEPTH, MAX_GOB_TYPES, type GobLimits } from './limits.ts'
import { isOwn, partsOf, TypeNumbers, type Numbered } from './numbers.ts'
import { isNil, isPointer, solid, type GobType, type Solid } from './types.ts'
import { asBig, asBytes, asConcrete, asList, asMap, asRecord, asTyped, unfit } from './values.ts'
import { Writer } from './writer.ts'

const NO_BYTES = new Uint8Array(0)
const MARSHALERS = { gob: 'GobEncoderT', binary: 'BinaryMarshalerT', text: 'TextMarshalerT' } as const

/** Writes one stream of values: each type is defined once, before the first value that needs it. */
export class GobEncoder {
  readonly #maxBytes: number
  readonly #maxDepth: number
  readonly #numbers: TypeNumbers
  readonly #defined = new Set<number>()

  /** @param numbers - to be shared by encoders whose streams end in one message */
  constructor(limits: GobLimits = {}, numbers: TypeNumbers = new TypeNumbers(limits.maxTypes ?? MAX_GOB_TYPES)) {
    this.#maxBytes = limits.maxBytes ?? MAX_GOB_BYTES
    this.#maxDepth = limits.maxDepth ?? MAX_GOB_DEPTH
    this.#numbers = numbers
  }

  /**
   * The bytes to append to the stream. Fields that are absent, `undefined` or `null` are zero.
   * After an error the stream goes on as if it had not been called.
   *
   * @throws `INVALID_REQUEST` for a value that is not of the type; `TOO_LARGE` beyond a limit; `INVALID_OPTION` for a type
   * that points to itself without end
   */
  encode(type: GobType, value: unknown): Uint8Array {
    const shape = solid(type)
    if (isNil(value) && isPointer(type)) unfit('a value: a nil pointer cannot travel by itself', value, '')
    const out = new Writer(this.#maxBytes)
    const before = [...this.#defined]
    try {
      this.#define(type, out)
      const body = new Writer(this.#maxBytes)
      body.int(this.#numbers.id(type))
      this.#top(shape, value, { body, out })
      out.counted(body.bytes)
    } catch (error) {
      this.#defined.clear()
      for (const id of before) this.#defined.add(id)
      throw error
    }
    if (out.bytes.length > this.#maxBytes) {
      throw new ConclaveError('TOO_LARGE', `A gob stream has at most ${this.#maxBytes} bytes: send less at a time.`)
    }
    return new Uint8Array(out.bytes)
  }

  #define(type: GobType, out: Writer): void {
    const shape = solid(type)
    if (!isOwn(shape)) return
    const numbered = this.#numbers.of(shape, '')
    if (this.#defined.has(numbered.id)) return
    this.#defined.add(numbered.id)
    const body = new Writer(this.#maxBytes)
    body.int(-numbered.id)
    this.#plain(solid(DEFINITION), this.#definition(numbered), { body, out, depth: 0, path: 'type' })
    out.counted(body.bytes)
    for (const part of partsOf(shape)) this.#define(part, out)
  }

  #definition({ id, name, shape }: Numbered): unknown {
    const CommonType = { Name: name, Id: id }
    switch (shape.kind) {
      case 'slice':
        return { SliceT: { CommonType, Elem: this.#numbers.id(shape.elem) } }
      case 'array':
        return { ArrayT: { CommonType, Elem: this.#numbers.id(shape.elem), Len: shape.length } }
      case 'map':
        return { MapT: { CommonType, Key: this.#numbers.id(shape.key), Elem: this.#numbers.id(shape.elem) } }
      case 'struct':
        return {
          StructT: {
            CommonType,
            Field: shape.fields.map((field) => ({ Name: field.name, Id: this.#numbers.id(field.type) })),
          },
        }
      case 'marshaled':
        return { [MARSHALERS[shape.by]]: { CommonType } }
    }
  }

  /** A value that is no field: what is not a struct has a 0 before it. */
  #top(shape: Solid, value: unknown, { body, out }: Pick<Place, 'body' | 'out'>, depth = 0, path = ''): void {
    if (shape.kind !== 'struct') body.uint(0)
    this.#plain(shape, value, { body, out, depth, path })
  }

  #elements(elem: GobType, list: ArrayLike<unknown>, place: Place): void {
    const shape = solid(elem)
    const pointers = isPointer(elem)
    place.body.uint(list.length)
    for (let index = 0; index < list.length; index++) {
      const value = list[index]
      const path = `${place.path}[${index}]`
      if (pointers && isNil(value)) unfit('a value: gob has no nil inside of slices, arrays and maps', value, path)
      this.#plain(shape, value, { ...place, path, depth: place.depth + 1 })
    }
  }

  #struct(fields: Extract<Solid, { readonly kind: 'struct' }>['fields'], value: unknown, place: Place): void {
    const record = asRecord(value, place.path)
    let last = -1
    for (const [number, field] of fields.entries()) {
      const own = record !== undefined && Object.hasOwn(record, field.name) ? record[field.name] : undefined
      if (isNil(own) && isPointer(field.type)) continue
      const shape = solid(field.type)
      const path = place.path === '' ? field.name : `${place.path}.${field.name}`
      if (isOmitted(shape, own, path)) continue
      place.body.uint(number - last)
      last = number
      this.#plain(shape, own, { ...place, path, depth: place.depth + 1 })
    }
    place.body.uint(0)
  }

  #plain(shape: Solid, value: unknown, place: Place): void {
    const { body, path } = place
    if (place.depth > this.#maxDepth) {
      throw new ConclaveError(
        'TOO_LARGE',
        `A gob value nests at most ${this.#maxDepth} deep, and must not contain itself: ${path}.`,
      )
    }
    switch (shape.kind) {
      case 'bool':
        return body.uint(asTyped<boolean>('boolean', value ?? false, path) ? 1 : 0)
      case 'int': {
        const int = asBig(value ?? 0, -(2n ** 63n), 2n ** 63n, path)
        return typeof int === 'number' ? body.int(int) : body.bigInt(int)
      }
      case 'uint': {
        const uint = asBig(value ?? 0, 0n, 2n ** 64n, path)
        return typeof uint === 'number' ? body.uint(uint) : body.bigUint(uint)
      }
      case 'float':
        return body.float(asTyped<number>('number', value ?? 0, path))
      case 'complex': {
        const { re, im } = (asRecord(value, path) ?? { re: 0, im: 0 }) as { re: unknown; im: unknown }
        body.float(asTyped<number>('number', re, `${path}.re`))
        return body.float(asTyped<number>('number', im, `${path}.im`))
      }
      case 'string':
        return body.string(asTyped<string>('string', value ?? '', path))
      case 'bytes':
      case 'marshaled':
        return body.counted(asBytes(value ?? NO_BYTES, path))
      case 'slice':
        return this.#elements(shape.elem, asList(value ?? [], path), place)
      case 'array': {
        if (isNil(value)) return this.#zeros(shape, place)
        const list = asList(value, path)
        if (list.length !== shape.length) unfit(`an array of ${shape.length} elements`, value, path)
        return this.#elements(shape.elem, list, place)
      }
      case 'map':
        return this.#map(shape, asMap(value ?? new Map(), path), place)
      case 'struct':
        return this.#struct(shape.fields, value, place)
      case 'interface':
        return this.#interface(value, place)
    }
  }

  #zeros(shape: Extract<Solid, { readonly kind: 'array' }>, place: Place): void {
    // A zero element takes a byte at least: a length beyond the limit is refused before it is filled.
    if (shape.length > this.#maxBytes) unfit(`an array of ${shape.length} elements`, undefined, place.path)
    this.#elements(shape.elem, { length: shape.length }, place)
  }

  #map(shape: Extract<Solid, { readonly kind: 'map' }>, map: ReadonlyMap<unknown, unknown>, place: Place): void {
    const [key, elem] = [solid(shape.key), solid(shape.elem)]
    const pointers = isPointer(shape.elem)
    place.body.uint(map.size)
    for (const [name, value] of map) {
      const path = `${place.path}[${String(name)}]`
      if (pointers && isNil(value)) unfit('a value: gob has no nil inside of slices, arrays and maps', value, path)
      this.#plain(key, name, { ...place, path: `${path} as key`, depth: place.depth + 1 })
      this.#plain(elem, value, { ...place, path, depth: place.depth + 1 })
    }
  }

  /** Name, type and, with its length before it, the value. Definitions go ahead of the message, where any decoder takes them. */
  #interface(value: unknown, { body, out, depth, path }: Place): void {
    const concrete = asConcrete(value, path)
    if (concrete === undefined) return body.uint(0)
    this.#define(concrete.type, out)
    body.string(concrete.name)
    body.int(this.#numbers.id(concrete.type))
    const inner = new Writer(this.#maxBytes)
    this.#top(solid(concrete.type), concrete.value, { body: inner, out }, depth + 1, path)
    body.counted(inner.bytes)
  }
}

interface Place {
  readonly body: Writer
  /** Where definitions go that an interface needs. */
  readonly out: Writer
  readonly depth: number
  readonly path: string
}

/** Zero values of fields do not travel; arrays and structs always do, and so does a map that is empty but there. */
function isOmitted(shape: Solid, value: unknown, path: string): boolean {
  switch (shape.kind) {
    case 'array':
    case 'struct':
      return false
    case 'slice':
      return isNil(value) || asList(value, path).length === 0
    case 'bytes':
    case 'marshaled':
      return isNil(value) || asBytes(value, path).length === 0
    case 'complex': {
      const { re, im } = (value ?? { re: 0, im: 0 }) as { re?: unknown; im?: unknown }
      return re === 0 && im === 0
    }
    case 'map':
    case 'interface':
      return isNil(value)
    default:
      return isNil(value) || value === false || value === 0 || value === 0n || value === ''
  }
}
