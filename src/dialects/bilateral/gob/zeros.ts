import { ConclaveError } from '../../../errors/index.ts'
import { isPointer, solid, type GobType } from './types.ts'

/** Zero values of types, and the account of all that a stream makes. */
export class Zeros {
  readonly #maxElements: number
  readonly #maxDepth: number
  #elements = 0

  constructor(maxElements: number, maxDepth: number) {
    this.#maxElements = maxElements
    this.#maxDepth = maxDepth
  }

  /** @throws `TOO_LARGE` */
  count(elements: number): void {
    this.#elements += elements
    if (this.#elements > this.#maxElements) {
      throw new ConclaveError('TOO_LARGE', `A gob stream may hold at most ${this.#maxElements} values.`)
    }
  }

  /** @throws `TOO_LARGE`, also for a struct that contains itself without a pointer */
  of(type: GobType, depth: number): unknown {
    this.count(1)
    if (depth > this.#maxDepth) {
      throw new ConclaveError('TOO_LARGE', `A gob value may nest at most ${this.#maxDepth} deep.`)
    }
    if (isPointer(type)) return null
    const shape = solid(type)
    switch (shape.kind) {
      case 'bool':
        return false
      case 'int':
      case 'uint':
      case 'float':
        return 0
      case 'complex':
        return { re: 0, im: 0 }
      case 'string':
        return ''
      case 'bytes':
      case 'marshaled':
        return new Uint8Array(0)
      case 'slice':
        return []
      case 'array': {
        const list: unknown[] = []
        for (let n = 0; n < shape.length; n++) list.push(this.of(shape.elem, depth + 1))
        return list
      }
      case 'map':
        return new Map()
      case 'struct': {
        const record = Object.create(null) as Record<string, unknown>
        for (const field of shape.fields) record[field.name] = this.of(field.type, depth + 1)
        return record
      }
      case 'interface':
        return null
    }
  }
}
