import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ConclaveError } from '../../../src/errors/index.ts'
import {
  decodeGob,
  encodeGob,
  gob,
  GobDecoder,
  type Concrete,
  type GobType,
} from '../../../src/dialects/bilateral/gob/index.ts'

/** A type with a value of it, as it comes out when zero values are filled in. */
interface Pair {
  readonly type: GobType
  readonly value: unknown
}

const sized = (value: bigint): number | bigint => (Number.isSafeInteger(Number(value)) ? Number(value) : value)
const LEAVES: readonly (readonly [GobType, fc.Arbitrary<unknown>])[] = [
  [gob.bool(), fc.boolean()],
  [gob.int(), fc.oneof(fc.integer(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(sized))],
  [gob.uint(), fc.oneof(fc.nat(), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(sized))],
  [gob.float(), fc.double().map((value) => value + 0)],
  [gob.complex(), fc.record({ re: fc.double().map((re) => re + 0), im: fc.double().map((im) => im + 0) })],
  [gob.string(), fc.string({ unit: 'binary', maxLength: 20 }).map((text) => Buffer.from(text).toString())],
  [gob.bytes(), fc.uint8Array({ maxLength: 20 })],
]

const anyName = fc.string({ minLength: 1, maxLength: 6 }).filter((name) => !name.includes('.'))

/** Types first, then a value of each: elements of one slice have one type. */
interface Maker {
  readonly type: GobType
  readonly values: fc.Arbitrary<unknown>
}

const { any: anyMaker } = fc.letrec<{ any: Maker; leaf: Maker; nest: Maker }>((tie) => ({
  leaf: fc.constantFrom(...LEAVES).map(([type, values]) => ({ type, values })),
  nest: fc.oneof(
    tie('any').map(({ type, values }) => ({ type: gob.slice(type), values: fc.array(values, { maxLength: 4 }) })),
    fc.tuple(tie('any'), fc.nat(3)).map(([{ type, values }, length]) => ({
      type: gob.array(length, type),
      values: fc.array(values, { minLength: length, maxLength: length }),
    })),
    tie('any').map(({ type, values }) => ({
      type: gob.map(gob.string(), type),
      values: fc.array(fc.tuple(fc.string({ maxLength: 5 }), values), { maxLength: 3 }).map((pairs) => new Map(pairs)),
    })),
    fc
      .tuple(anyName, fc.uniqueArray(fc.tuple(anyName, tie('any')), { maxLength: 4, selector: ([name]) => name }))
      .map(([name, fields]) => ({
        type: {
          kind: 'struct' as const,
          name,
          fields: fields.map(([field, { type }]) => ({ name: field, type })),
        },
        values: fc.tuple(...fields.map(([, { values }]) => values)).map((list) => {
          const record = Object.create(null) as Record<string, unknown>
          for (const [index, [field]] of fields.entries()) record[field] = list[index]
          return record
        }),
      })),
    tie('any').map(({ type, values }) => ({
      type: gob.interface(),
      values: fc.oneof(
        fc.constant(null),
        values.map((value) => ({ name: 'registered', type, value })),
      ),
    })),
  ),
  any: fc.oneof({ maxDepth: 3, depthSize: 'small' }, tie('leaf'), tie('nest')),
}))

const anyPair: fc.Arbitrary<Pair> = anyMaker.chain(({ type, values }) => values.map((value) => ({ type, value })))

/** As plain objects; what an interface holds as it would come alone, since its type comes as the stream describes it. */
function comparable(value: unknown): unknown {
  if (value instanceof Map) return new Map([...value].map(([key, of]) => [key, comparable(of)]))
  if (Array.isArray(value)) return value.map(comparable)
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  if ('type' in value && 'name' in value && value.name === 'registered') {
    return comparable(decodeGob(encodeGob((value as Concrete).type, (value as Concrete).value)))
  }
  return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, comparable(of)]))
}

test('any value of any type comes back', () => {
  fc.assert(
    fc.property(anyPair, ({ type, value }) => {
      const bytes = encodeGob(type, value)
      assert.deepEqual(comparable(decodeGob(bytes, { as: type })), comparable(value))
      // Described by itself, and written again from what it describes, it is the same value.
      const described = decodeGob(bytes)
      const again = decodeGob(encodeGob(type, described), { as: type })
      assert.deepEqual(comparable(again), comparable(value))
    }),
    { numRuns: 300 },
  )
})

test('no bytes but errors of the list', () => {
  const mutation = fc.tuple(fc.nat(), fc.constantFrom('set', 'cut', 'insert', 'drop'), fc.nat(255))
  fc.assert(
    fc.property(anyPair, fc.array(mutation, { minLength: 1, maxLength: 4 }), ({ type, value }, mutations) => {
      let bytes: number[] = [...encodeGob(type, value)]
      for (const [where, how, byte] of mutations) {
        const at = where % (bytes.length + 1)
        if (how === 'cut') bytes = bytes.slice(0, at)
        else bytes.splice(at, how === 'insert' ? 0 : 1, ...(how === 'drop' ? [] : [byte]))
      }
      for (const as of [undefined, type]) {
        try {
          new GobDecoder(Uint8Array.from(bytes)).next(as)
        } catch (error) {
          assert.ok(ConclaveError.is(error, 'PROTOCOL', 'TOO_LARGE', 'INVALID_PARAMS'), String(error))
        }
      }
    }),
    { numRuns: 1_000 },
  )
})
