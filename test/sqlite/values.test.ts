import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  checkParams,
  fromWire,
  narrow,
  paramsFromWire,
  statementToWire,
  rowsFromWire,
  tableToWire,
  type Table,
} from '../../src/sqlite/values.ts'
import { code, json } from './support.ts'

const value = fc.oneof(
  fc.constant(null),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.string({ unit: 'binary' }),
  fc.uint8Array({ maxLength: 40 }),
)

test('every value SQLite stores survives JSON exactly: bigint, bytes, -0, lone surrogates', () => {
  fc.assert(
    fc.property(fc.array(value), (params) => {
      assert.deepEqual(paramsFromWire(json(statementToWire('', params)[1])), params)
    }),
  )
  const odd = [-0, 2n ** 63n - 1n, -(2n ** 63n), '\ud800', new Uint8Array(), Number.MIN_VALUE]
  assert.deepEqual(paramsFromWire(json(statementToWire('', odd)[1])), odd)
})

test('rows travel with their names once, and any name is a plain column', () => {
  const sent = (table: Table): object[] => rowsFromWire(json(tableToWire(table)) as never).map((row) => ({ ...row }))
  const rows = [
    [1, 2n ** 60n, Infinity],
    [null, new Uint8Array([1]), ''],
  ]
  assert.deepEqual(sent({ columns: ['a', 'b', 'c'], rows }), [
    { a: 1, b: 2n ** 60n, c: Infinity },
    { a: null, b: new Uint8Array([1]), c: '' },
  ])
  assert.equal(Object.keys(sent({ columns: ['__proto__'], rows: [[1]] })[0]!).join(), '__proto__')
  assert.deepEqual(tableToWire({ columns: ['a'], rows: [] }), { columns: ['a'], rows: [] })
})

test('what SQLite would change in silence is refused, by its place', () => {
  for (const [bad, word] of [
    [Infinity, /Infinity/],
    [-Infinity, /Infinity/],
    [NaN, /NaN/],
    [undefined, /undefined: use null/],
    [true, /boolean.*1 and 0/],
    [new Date(), /Date.*toISOString/],
    [{ a: 1 }, /JSON\.stringify/],
    [[1], /object/],
    [2n ** 63n, /64 bits/],
    [Symbol.iterator, /symbol/],
  ] as const) {
    assert.throws(() => checkParams([1, bad]), code('INVALID_PARAMS', 'not-committed', /Parameter 2/, word))
  }
})

test('what no member sends is refused', () => {
  for (const bad of [{}, { i: '1.5' }, { i: 'x' }, { n: 'NaN' }, [1], true]) {
    assert.throws(() => fromWire(bad), code('INVALID_PARAMS'))
  }
  assert.throws(() => paramsFromWire({ 0: 1 }), code('INVALID_PARAMS'))
})

test('integers are numbers where that is exact', () => {
  assert.equal(narrow(5n), 5)
  assert.equal(narrow(BigInt(Number.MAX_SAFE_INTEGER)), Number.MAX_SAFE_INTEGER)
  assert.equal(narrow(2n ** 53n), 2n ** 53n)
  assert.equal(narrow(-(2n ** 53n)), -(2n ** 53n))
})
