import { ConclaveError } from '../../../errors/index.ts'
import { DEFINITION, FIRST_OWN_TYPE } from './definition.ts'
import { MAX_GOB_BYTES, MAX_GOB_DEPTH, MAX_GOB_ELEMENTS, MAX_GOB_TYPES, type GobLimits } from './limits.ts'
import { malformed, Reader } from './reader.ts'
import { gob, solid, type GobType, type Infer, type Solid } from './types.ts'
import { Zeros } from './zeros.ts'

const BASIC_TYPES: readonly GobType[] = [
  gob.bool(),
  gob.int(),
  gob.uint(),
  gob.float(),
  gob.bytes(),
  gob.string(),
  gob.complex(),
  gob.interface(),
]

/**
 * Reads one stream of values, which describes itself: structs are objects without a prototype that lack fields with a zero
 * value, maps are `Map`s, integers are numbers where that is safe and else bigints.
 */
export class GobDecoder {
  readonly #reader: Reader
  readonly #types = new Map<number, GobType>(BASIC_TYPES.map((type, index) => [index + 1, type]))
  readonly #definition = solid(DEFINITION)
  readonly #maxDepth: number
  readonly #maxTypes: number
  readonly #zeros: Zeros

  #last: GobType | undefined

  /** @throws `TOO_LARGE` for more bytes than `limits.maxBytes` */
  constructor(bytes: Uint8Array, limits: GobLimits = {}) {
    const { maxBytes = MAX_GOB_BYTES } = limits
    if (bytes.length > maxBytes) {
      throw new ConclaveError('TOO_LARGE', `A gob stream of ${bytes.length} bytes is over the limit of ${maxBytes}.`)
    }
    this.#reader = new Reader(bytes)
    this.#maxDepth = limits.maxDepth ?? MAX_GOB_DEPTH
    this.#maxTypes = limits.maxTypes ?? MAX_GOB_TYPES
    this.#zeros = new Zeros(limits.maxElements ?? MAX_GOB_ELEMENTS, this.#maxDepth)
  }

  /** The type of the last value, as the stream describes it. */
  get type(): GobType | undefined {
    return this.#last
  }

  /** All values that are left. @throws as `next` */
  decodeAll(): unknown[] {
    const values: unknown[] = []
    for (let value = this.next(); value !== undefined; value = this.next()) values.push(value)
    return values
  }

  /**
   * The next value; `undefined` at the end. `as` names the type it is wanted in: fields are matched by name, what is absent
   * gets its zero value, what is not wanted is dropped. After an error the stream cannot be read on.
   *
   * @throws `PROTOCOL` for bytes that are no gob stream, `TOO_LARGE` beyond a limit, `INVALID_PARAMS` where a value is not of
   * the wanted type
   */
  next(as?: GobType): unknown {
    const reader = this.#reader
    while (!reader.last) {
      reader.nextMessage()
      const id = reader.id()
      if (id >= 0) {
        this.#last = this.#typeOf(id)
        const value = this.#top(id, as, 0)
        reader.endMessage()
        return value
      }
      this.#define(-id)
      reader.endMessage()
    }
    return undefined
  }

  #typeOf(id: number): GobType {
    return this.#types.get(id) ?? malformed(`type ${id} is used and not defined`)
  }

  #define(id: number): void {
    if (id < FIRST_OWN_TYPE || this.#types.has(id)) malformed(`type ${id} is defined twice`)
    if (this.#types.size - BASIC_TYPES.length >= this.#maxTypes) {
      throw new ConclaveError('TOO_LARGE', `A gob stream may define at most ${this.#maxTypes} types.`)
    }
    const found = this.#value(this.#definition, DEFINITION, 0) as Definition
    if (Object.values(found).filter((kind) => kind !== null).length !== 1) malformed(`type ${id} is not of one kind`)
    this.#types.set(id, this.#typeFrom(found))
  }

  #typeFrom(of: Definition): GobType {
    // Types come in any order and may contain themselves: a number is looked up when a value needs it.
    const ref = (id: number | bigint): GobType => gob.lazy(() => this.#typeOf(Number(id)))
    if (of.StructT !== null) {
      const { CommonType, Field } = of.StructT
      return {
        kind: 'struct',
        name: CommonType.Name,
        fields: Field.map(({ Name, Id }) => ({ name: Name, type: ref(Id) })),
      }
    }
    if (of.SliceT !== null) return gob.slice(ref(of.SliceT.Elem))
    if (of.MapT !== null) return gob.map(ref(of.MapT.Key), ref(of.MapT.Elem))
    if (of.ArrayT !== null) {
      const { Elem, Len } = of.ArrayT
      return typeof Len === 'number' && Len >= 0 ? gob.array(Len, ref(Elem)) : malformed(`an array of ${Len} elements`)
    }
    if (of.GobEncoderT !== null) return gob.marshaled(of.GobEncoderT.CommonType.Name, 'gob')
    if (of.BinaryMarshalerT !== null) return gob.marshaled(of.BinaryMarshalerT.CommonType.Name, 'binary')
    return gob.marshaled(of.TextMarshalerT?.CommonType.Name ?? '', 'text')
  }

  /** A value that is no field: what is not a struct has a 0 before it. */
  #top(id: number, as: GobType | undefined, depth: number): unknown {
    const shape = solid(this.#typeOf(id))
    if (shape.kind !== 'struct' && this.#reader.uint() !== 0) malformed('a value that stands alone has no 0 before it')
    return this.#value(shape, as, depth)
  }

  #value(shape: Solid, as: GobType | undefined, depth: number): unknown {
    if (depth > this.#maxDepth) {
      throw new ConclaveError('TOO_LARGE', `A gob value may nest at most ${this.#maxDepth} deep.`)
    }
    this.#zeros.count(1)
    const wanted = as === undefined ? undefined : solid(as)
    if (wanted !== undefined && wanted.kind !== shape.kind) mismatch(wanted.kind, shape.kind)
    const reader = this.#reader
    switch (shape.kind) {
      case 'bool':
        return reader.uint() !== 0
      case 'int':
        return reader.int()
      case 'uint':
        return reader.uint()
      case 'float':
        return reader.float()
      case 'complex':
        return { re: reader.float(), im: reader.float() }
      case 'string':
        return reader.string()
      case 'bytes':
      case 'marshaled':
        return reader.bytes()
      case 'slice':
        return this.#list(shape.elem, wanted?.kind === 'slice' ? wanted.elem : undefined, reader.count(), depth)
      case 'array': {
        const length = reader.count()
        if (length !== shape.length) malformed(`an array of ${shape.length} has ${length} elements`)
        if (wanted?.kind !== 'array') return this.#list(shape.elem, undefined, length, depth)
        if (wanted.length !== length) mismatch(`array of ${wanted.length}`, `array of ${length}`)
        return this.#list(shape.elem, wanted.elem, length, depth)
      }
      case 'map': {
        const [key, elem] = wanted?.kind === 'map' ? [wanted.key, wanted.elem] : []
        const map = new Map<unknown, unknown>()
        const [keys, elems, count] = [solid(shape.key), solid(shape.elem), reader.count()]
        for (let n = 0; n < count; n++) map.set(this.#value(keys, key, depth + 1), this.#value(elems, elem, depth + 1))
        return map
      }
      case 'struct':
        return this.#struct(shape, wanted?.kind === 'struct' ? wanted : undefined, depth)
      case 'interface':
        return this.#interface(depth)
    }
  }

  #list(elem: GobType, as: GobType | undefined, length: number, depth: number): unknown[] {
    const shape = solid(elem)
    const list: unknown[] = []
    for (let n = 0; n < length; n++) list.push(this.#value(shape, as, depth + 1))
    return list
  }

  #struct(shape: Struct, wanted: Struct | undefined, depth: number): unknown {
    const record = Object.create(null) as Record<string, unknown>
    let number = -1
    for (;;) {
      const delta = this.#reader.uint()
      if (delta === 0) break
      number += Number(delta)
      const field = shape.fields[number]
      if (field === undefined) malformed(`field ${number} of a struct with ${shape.fields.length}`)
      const type = wanted?.fields.find(({ name }) => name === field.name)?.type
      const value = this.#value(solid(field.type), type, depth + 1)
      if (wanted === undefined || type !== undefined) record[field.name] = value
    }
    for (const { name, type } of wanted?.fields ?? []) {
      if (!Object.hasOwn(record, name)) record[name] = this.#zeros.of(type, depth + 1)
    }
    return record
  }

  #interface(depth: number): unknown {
    const name = this.#reader.string()
    if (name === '') return null
    const id = this.#concrete()
    // A length to skip the value by. It is too short where a definition follows inside of it, so it bounds nothing.
    this.#reader.count()
    return { name, type: this.#typeOf(id), value: this.#top(id, undefined, depth + 1) }
  }

  /**
   * The number of an interface's type, after the definitions that it may need. Go's encoder ends the message with each of
   * them and goes on in the next; inside another interface the rest follows at once, with its length before it.
   */
  #concrete(): number {
    const reader = this.#reader
    for (;;) {
      const id = reader.id()
      if (id >= 0) return id
      this.#define(-id)
      if (reader.left === 0) reader.nextMessage()
      else reader.count()
    }
  }
}

type Definition = Infer<typeof DEFINITION>
type Struct = Extract<Solid, { readonly kind: 'struct' }>

function mismatch(wanted: string, found: string): never {
  throw new ConclaveError(
    'INVALID_PARAMS',
    `The gob value has a ${found} where a ${wanted} is wanted: correct the type.`,
  )
}
