import { ConclaveError } from '../../errors/index.ts'
import { gob, type GobType } from './gob/index.ts'
import { isRecord } from './gob/values.ts'

/**
 * The gob type of values without a declared one: whole numbers and bigints are int, other numbers float; objects are
 * structs of their fields. Empty arrays and what is null or undefined say nothing, and a field of only such is left out:
 * the other end has its zero value.
 * @param samples all values that share the type
 * @param name of a struct
 * @throws `INVALID_REQUEST` where the values have no type in common
 */
export function inferType(samples: readonly unknown[], name: string): GobType | undefined {
  const values = samples.filter((value) => value !== undefined && value !== null)
  if (values.length === 0) return undefined
  const all = (fits: (value: unknown) => boolean): boolean => values.every(fits)
  if (all((value) => typeof value === 'boolean')) return gob.bool()
  if (all((value) => typeof value === 'string')) return gob.string()
  if (all((value) => typeof value === 'bigint' || Number.isInteger(value))) return gob.int()
  if (all((value) => typeof value === 'number')) return gob.float()
  if (all((value) => value instanceof Uint8Array)) return gob.bytes()
  if (all(Array.isArray)) {
    const element = inferType((values as unknown[][]).flat(), name)
    return element && gob.slice(element)
  }
  if (all((value) => value instanceof Map)) {
    const maps = values as Map<unknown, unknown>[]
    const key = inferType(
      maps.flatMap((map) => [...map.keys()]),
      name,
    )
    const value = inferType(
      maps.flatMap((map) => [...map.values()]),
      name,
    )
    return key && value && gob.map(key, value)
  }
  if (all(isRecord)) return structOf(values as Record<string, unknown>[], name)
  throw new ConclaveError(
    'INVALID_REQUEST',
    `gob has no one type for the values of ${name}: give \`types\` for the method.`,
  )
}

function structOf(values: readonly Record<string, unknown>[], name: string): GobType {
  const fields: [string, GobType][] = []
  for (const field of new Set(values.flatMap((value) => Object.keys(value)))) {
    const type = inferType(
      values.map((value) => value[field]),
      field,
    )
    if (type !== undefined) fields.push([field, type])
  }
  return gob.struct(name, Object.fromEntries(fields))
}
