import { ConclaveError } from '../../../errors/index.ts'
import { BASIC, FIRST_OWN_TYPE } from './definition.ts'
import { MAX_GOB_TYPES } from './limits.ts'
import { solid, type BasicKind, type GobType, type Solid } from './types.ts'

/** A type that is not basic. */
type Own = Exclude<Solid, { readonly kind: BasicKind }>

/** A type that needs a definition. */
export interface Numbered {
  readonly id: number
  /** Travels in the definition and means nothing to a decoder. */
  readonly name: string
  readonly shape: Own
}

export function isOwn(shape: Solid): shape is Own {
  return !(shape.kind in BASIC)
}

/** Numbers for types, in the order in which Go's encoder gives them: a struct before its fields, the rest after their parts. */
export class TypeNumbers {
  readonly #byKey = new Map<number, Numbered>()
  /** Keys of those that have a number, or get one after their parts. */
  readonly #begun = new Set<number>()
  readonly #keys = new Map<Own, number>()
  /** Keys of types without a name, by their kind and parts. */
  readonly #spelled = new Map<string, number>()
  readonly #maxTypes: number

  constructor(maxTypes: number = MAX_GOB_TYPES) {
    this.#maxTypes = maxTypes
  }

  /** @throws `TOO_LARGE` for too many types */
  id(type: GobType): number {
    const shape = solid(type)
    return isOwn(shape) ? this.of(shape, '').id : BASIC[shape.kind]
  }

  of(shape: Own, name: string): Numbered {
    const key = this.#key(shape)
    const known = this.#byKey.get(key)
    if (known !== undefined) return known
    if (this.#begun.size >= this.#maxTypes) {
      throw new ConclaveError('TOO_LARGE', `A gob stream defines at most ${this.#maxTypes} types: use fewer.`)
    }
    this.#begun.add(key)
    if ('name' in shape) {
      const numbered = this.#number(key, shape, withoutPackage(shape.name))
      this.#parts(shape)
      return numbered
    }
    this.#parts(shape)
    return this.#number(key, shape, name)
  }

  #number(key: number, shape: Own, name: string): Numbered {
    const numbered: Numbered = { id: FIRST_OWN_TYPE + 1 + this.#byKey.size, name, shape }
    this.#byKey.set(key, numbered)
    return numbered
  }

  #parts(shape: Own): void {
    for (const part of partsOf(shape)) {
      const inner = solid(part)
      if (!isOwn(inner) || this.#begun.has(this.#key(inner))) continue
      // Go writes a type without a name by its expression where it first meets it as a field.
      this.of(inner, shape.kind === 'struct' ? expression(inner, 0).slice(0, MAX_EXPRESSION) : '')
    }
  }

  /** The same for equal types without a name; a struct, and what contains itself, equals only itself. */
  #key(shape: Own): number {
    const known = this.#keys.get(shape)
    if (known !== undefined) return known
    const itself = this.#keys.size
    this.#keys.set(shape, itself)
    if ('name' in shape) return itself
    const parts = partsOf(shape).map((part) => {
      const inner = solid(part)
      return isOwn(inner) ? this.#key(inner) : inner.kind
    })
    const spelled = `${shape.kind}${shape.kind === 'array' ? shape.length : ''}(${parts.join()})`
    const key = this.#spelled.get(spelled) ?? itself
    this.#spelled.set(spelled, key)
    this.#keys.set(shape, key)
    return key
  }
}

/** The types inside a type, in the order in which they are defined. */
export function partsOf(shape: Own): readonly GobType[] {
  switch (shape.kind) {
    case 'slice':
    case 'array':
      return [shape.elem]
    case 'map':
      return [shape.key, shape.elem]
    case 'struct':
      return shape.fields.map((field) => field.type)
    case 'marshaled':
      return []
  }
}

function withoutPackage(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}

const GO = { float: 'float64', complex: 'complex128', bytes: '[]uint8', interface: 'interface {}' } as const
const MAX_EXPRESSION_DEPTH = 4
const MAX_EXPRESSION = 256

/** The type as Go spells it. */
function expression(shape: Solid, depth: number): string {
  if (depth > MAX_EXPRESSION_DEPTH) return ''
  const of = (type: GobType): string => expression(solid(type), depth + 1)
  switch (shape.kind) {
    case 'slice':
      return `[]${of(shape.elem)}`
    case 'array':
      return `[${shape.length}]${of(shape.elem)}`
    case 'map':
      return `map[${of(shape.key)}]${of(shape.elem)}`
    case 'struct':
    case 'marshaled':
      return shape.name.slice(0, MAX_EXPRESSION)
    default:
      return shape.kind in GO ? GO[shape.kind as keyof typeof GO] : shape.kind
  }
}
