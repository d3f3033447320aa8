import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  decodeGob,
  encodeGob,
  gob,
  GobDecoder,
  GobEncoder,
  type GobType,
} from '../../../src/dialects/bilateral/gob/index.ts'
import {
  MAX_GOB_BYTES,
  MAX_GOB_DEPTH,
  MAX_GOB_ELEMENTS,
  MAX_GOB_TYPES,
} from '../../../src/dialects/bilateral/gob/limits.ts'
import { throwsCode } from '../../wire/support.ts'

const list: GobType = gob.slice(gob.lazy(() => list))

function nested(depth: number): unknown {
  let value: unknown[] = []
  for (let n = 0; n < depth; n++) value = [value]
  return value
}

test('MAX_GOB_BYTES: longer streams are neither read nor written', () => {
  throwsCode(() => new GobDecoder(new Uint8Array(MAX_GOB_BYTES + 1)), 'TOO_LARGE')
  throwsCode(() => encodeGob(gob.bytes(), new Uint8Array(MAX_GOB_BYTES)), 'TOO_LARGE')
  const limited = new GobEncoder({ maxBytes: 20 })
  throwsCode(() => limited.encode(gob.string(), 'x'.repeat(20)), 'TOO_LARGE')
  assert.equal(limited.encode(gob.string(), 'x'.repeat(16)).length, 20)
})

test('MAX_GOB_DEPTH: deeper values are neither read nor written, nor values in a circle', () => {
  const deepest = encodeGob(list, nested(MAX_GOB_DEPTH))
  assert.deepEqual(decodeGob(deepest), nested(MAX_GOB_DEPTH))
  throwsCode(() => encodeGob(list, nested(MAX_GOB_DEPTH + 1)), 'TOO_LARGE')
  throwsCode(() => decodeGob(deepest, { maxDepth: MAX_GOB_DEPTH - 1 }), 'TOO_LARGE')
  const circle: unknown[] = []
  circle.push(circle)
  throwsCode(() => encodeGob(list, circle), 'TOO_LARGE')
  const within: GobType = { kind: 'struct', name: 'S', fields: [{ name: 'S', type: gob.lazy(() => within) }] }
  const empty = encodeGob(gob.struct('S', { A: gob.int() }), {})
  throwsCode(() => decodeGob(empty, { as: within }), 'TOO_LARGE')
})

test('MAX_GOB_ELEMENTS: counts elements, fields, and the zero values that are filled in', () => {
  const bytes = encodeGob(gob.slice(gob.bool()), new Array<boolean>(MAX_GOB_ELEMENTS).fill(true))
  throwsCode(() => decodeGob(bytes), 'TOO_LARGE')
  const wide = gob.slice(gob.struct('W', { A: gob.array(1000, gob.int()) }))
  const sent = encodeGob(gob.slice(gob.struct('W', { B: gob.int() })), new Array(2000).fill({}))
  throwsCode(() => decodeGob(sent, { as: wide }), 'TOO_LARGE')
  throwsCode(() => decodeGob(encodeGob(gob.slice(gob.int()), [1, 2, 3]), { maxElements: 3 }), 'TOO_LARGE')
})

test('MAX_GOB_TYPES: types of one stream', () => {
  const fields = Object.fromEntries(
    Array.from({ length: MAX_GOB_TYPES - 1 }, (_, index) => [`F${index}`, gob.struct(`S${index}`, {})]),
  )
  const bytes = encodeGob(gob.struct('All', fields), {})
  assert.equal(typeof decodeGob(bytes), 'object')
  throwsCode(() => decodeGob(bytes, { maxTypes: MAX_GOB_TYPES - 1 }), 'TOO_LARGE')
  throwsCode(() => encodeGob(gob.struct('All', { ...fields, X: gob.struct('X', {}) }), {}), 'TOO_LARGE')
})

test('a length that is not there is refused before anything is allocated', () => {
  const before = process.memoryUsage()
  const claims = [
    'f8ffffffffffffffff', // a message of 2^64 bytes
    'fc7fffffff0c00', // of 2 GiB
    '080c00fc7fffffff61', // a string
    '080a00fc7fffffff61', // bytes
    '0cff81020102ff820001040000' + '08ff8200fc7fffffff', // a slice
    '10ff81010102ff820001040' + '1fcfffffffe0000' + '08ff8200fc7fffffff', // an array
    '0eff81040102ff82000104010400' + '00' + '08ff8200fc7fffffff', // a map
    '7f040002', // a message longer than the stream
  ]
  for (const hex of claims) throwsCode(() => new GobDecoder(Buffer.from(hex, 'hex')).decodeAll(), 'PROTOCOL')
  const after = process.memoryUsage()
  assert.ok(after.arrayBuffers - before.arrayBuffers < 64 * 1024)
})

test('malformed streams, each by its own fault', () => {
  const faults = {
    'an empty message': '00',
    'half a number': '01fe',
    'a number of nine bytes': '0af7010203040506070809',
    'a value without its 0': '03040102',
    'bytes after the value': '0404000200',
    'an undefined type': '03ff8200',
    'a type number that is gob’s own': '05' + '1f' + '02010000',
    'a definition of no kind': '03ff8100',
    'the same type twice': '0cff81020102ff820001040000'.repeat(2),
    'a field beyond the last': '10ff81030101015001ff8200010000' + '0000' + '05ff82050400',
    'an array of another length': '0eff81010102ff82000104010600' + '00' + '06ff8200020204',
    'bytes after a definition': '0dff81020102ff8200010400' + '0000',
  }
  for (const [fault, hex] of Object.entries(faults)) {
    assert.doesNotThrow(() => throwsCode(() => new GobDecoder(Buffer.from(hex, 'hex')).decodeAll(), 'PROTOCOL'), fault)
  }
  throwsCode(() => decodeGob(new Uint8Array(0)), 'PROTOCOL')
  throwsCode(() => decodeGob(Buffer.from('0304000203040002', 'hex')), 'PROTOCOL')
})
