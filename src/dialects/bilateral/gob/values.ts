import { ConclaveError } from '../../../errors/index.ts'
import { isNil, type Concrete } from './types.ts'

/** @throws `INVALID_REQUEST`, always */
export function unfit(expected: string, value: unknown, path: string): never {
  const found = value === null ? 'null' : Array.isArray(value) ? 'an array' : typeof value
  throw new ConclaveError(
    'INVALID_REQUEST',
    `Gob needs ${expected}${path === '' ? '' : ` in ${path}`}, and got ${found}.`,
  )
}

export function asTyped<T>(type: 'boolean' | 'number' | 'string', value: unknown, path: string): T {
  return typeof value === type ? (value as T) : unfit(`a ${type}`, value, path)
}

/** A whole number from `least` to below `bound`. */
export function asBig(value: unknown, least: bigint, bound: bigint, path: string): number | bigint {
  if (typeof value === 'number' && Number.isSafeInteger(value) && (value >= 0 || least < 0n)) return value
  if (typeof value === 'bigint' && value >= least && value < bound) return value
  return unfit(
    `a whole number from ${least} to below ${bound}, a bigint where it is not safe as a number,`,
    value,
    path,
  )
}

export function asBytes(value: unknown, path: string): Uint8Array {
  return value instanceof Uint8Array ? value : unfit('a Uint8Array', value, path)
}

export function asList(value: unknown, path: string): readonly unknown[] {
  return Array.isArray(value) ? value : unfit('an array', value, path)
}

export function asMap(value: unknown, path: string): ReadonlyMap<unknown, unknown> {
  return value instanceof Map ? value : unfit('a Map', value, path)
}

/** An object whose fields are all there is to it: no array, Map, Set, Date, … */
export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return Object.prototype.toString.call(value) === '[object Object]'
}

export function asRecord(value: unknown, path: string): Readonly<Record<string, unknown>> | undefined {
  if (isNil(value)) return undefined
  return isRecord(value) ? value : unfit('an object with fields', value, path)
}

export function asConcrete(value: unknown, path: string): Concrete | undefined {
  if (isNil(value)) return undefined
  const { name, type } = value as Partial<Concrete>
  if (typeof name === 'string' && name !== '' && typeof type === 'object' && type !== null) return value as Concrete
  return unfit('{ name, type, value } with the name that Go registered', value, path)
}
