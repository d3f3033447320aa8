import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import {
  decodeGob,
  encodeGob,
  gob,
  GobDecoder,
  GobEncoder,
  type GobType,
} from '../../../src/dialects/bilateral/gob/index.ts'
import { TypeNumbers } from '../../../src/dialects/bilateral/gob/numbers.ts'
import { throwsCode } from '../../wire/support.ts'

interface Vector {
  readonly description: string
  readonly kind: string
  readonly id?: number
  readonly method?: string
  readonly error_text?: string
  readonly type: string
  readonly value: unknown
  readonly hex: string
}

const { vectors } = JSON.parse(readFileSync(new URL('../../vectors/gob-payloads.json', import.meta.url), 'utf8')) as {
  readonly vectors: readonly Vector[]
}

const { int, string, slice } = gob
const strings = slice(string())
const inner = gob.struct('main.Inner', { X: int(), Y: int(), Name: string() })

/** In the order in which the program that made the vectors used them first: it numbered them so. */
const TYPES: Readonly<Record<string, GobType>> = {
  'main.Args': gob.struct('main.Args', { A: int(), B: int() }),
  'main.SetArgs': gob.struct('main.SetArgs', { Value: int(), Bilateral_SENDER: string() }),
  'main.Reply': gob.struct('main.Reply', { S: int(), D: int() }),
  'main.NullReply': gob.struct('main.NullReply', {}),
  '[]string': strings,
  '[]int': slice(int()),
  '[3]int': gob.array(3, int()),
  'map[string]int': gob.map(string(), int()),
  'main.Inner': inner,
  'main.Wide': gob.struct('main.Wide', {
    I: int(),
    I8: int(),
    U: gob.uint(),
    U32: gob.uint(),
    F: gob.float(),
    F32: gob.float(),
    B: gob.bool(),
    S: string(),
    Raw: gob.bytes(),
    L: slice(string()),
    N: slice(int()),
    M: gob.map(string(), int()),
    In: inner,
    P: gob.pointer(inner),
    Ls: slice(inner),
    C: gob.complex(),
    Ar: gob.array(3, int()),
  }),
  int: int(),
  int64: int(),
  uint: gob.uint(),
  float64: gob.float(),
  bool: gob.bool(),
  string: string(),
  '[]uint8': gob.bytes(),
}
const typeOf = (name: string): GobType => TYPES[name.replace(/^\*/, '')] ?? assert.fail(name)

/** The values of the file, which is JSON, as ours. */
function valueOf(type: GobType, value: unknown): unknown {
  if (value === null) return undefined
  switch (type.kind) {
    case 'int':
    case 'uint': {
      const big = BigInt(value as string | number)
      return Number.isSafeInteger(Number(big)) ? Number(big) : big
    }
    case 'bytes':
      return new Uint8Array(Buffer.from(value as string, 'hex'))
    case 'complex':
      return { re: Number(value), im: 0 }
    case 'slice':
    case 'array':
      return (value as unknown[]).map((element) => valueOf(type.elem, element))
    case 'map':
      return new Map(Object.entries(value as object).map(([key, of]) => [key, valueOf(type.elem, of)]))
    case 'pointer':
      return valueOf(type.elem, value)
    case 'struct': {
      const of = value as Record<string, unknown>
      return Object.fromEntries(type.fields.map((field) => [field.name, valueOf(field.type, of[field.name])]))
    }
    default:
      return value
  }
}

/** What comes out when zero values are filled in. */
const filled = (type: GobType, value: unknown): unknown => decodeGob(encodeGob(type, value), { as: type })

function numbered(): TypeNumbers {
  const numbers = new TypeNumbers()
  for (const type of Object.values(TYPES)) numbers.id(type)
  return numbers
}

describe('the vectors of Go', () => {
  for (const [index, vector] of vectors.entries()) {
    test(`${index}: ${vector.kind}, ${vector.description}`, () => {
      const type = typeOf(vector.type)
      const value = valueOf(type, vector.value)
      const bytes = Buffer.from(vector.hex, 'hex')
      const encoder = new GobEncoder({}, numbered())
      const parts: (readonly [GobType, unknown])[] = []
      if (vector.method !== undefined) parts.push([gob.uint(), vector.id], [string(), vector.method])
      if (vector.error_text !== undefined) parts.push([string(), vector.error_text])
      parts.push([type, value])
      const written = Buffer.concat(parts.map(([of, part]) => encoder.encode(of, part)))
      assert.equal(written.toString('hex'), vector.hex)

      const decoder = new GobDecoder(bytes)
      for (const [of, part] of parts) assert.deepEqual(decoder.next(of), filled(of, part))
      assert.equal(decoder.next(), undefined)
      assert.equal(new GobDecoder(bytes).decodeAll().length, parts.length)
    })
  }

  test('a field without a value is left out when the stream describes itself', () => {
    const bytes = Buffer.from(vectors.find(({ description }) => description.startsWith('one zero'))!.hex, 'hex')
    const [id, method, args] = new GobDecoder(bytes).decodeAll()
    assert.deepEqual([id, method], [3, 'Arith.SumDiff'])
    assert.deepEqual(args, Object.assign(Object.create(null), { B: -1 }))
  })
})

test('the example of the documentation', () => {
  const point = gob.struct('Point', { X: int(), Y: int() })
  const value = '07ff82012c014200'
  const encoder = new GobEncoder()
  const definition = '1fff8103010105506f696e7401ff820001020101580104000101590104000000'
  assert.equal(Buffer.from(encoder.encode(point, { X: 22, Y: 33 })).toString('hex'), definition + value)
  assert.equal(Buffer.from(encoder.encode(point, { X: 22, Y: 33 })).toString('hex'), value)
  assert.equal(Buffer.from(encodeGob(int(), 3)).toString('hex'), '03040006')
})

test('types are read in any order, also after the value of another type', () => {
  const encoder = new GobEncoder()
  const outer = gob.struct('Outer', { In: gob.struct('In', { X: int() }), L: strings })
  const bytes = Buffer.from(encoder.encode(outer, { In: { X: 5 }, L: ['a'] }))
  const messages: Buffer[] = []
  for (let at = 0; at < bytes.length; at += 1 + bytes[at]!) messages.push(bytes.subarray(at, at + 1 + bytes[at]!))
  assert.equal(messages.length, 4)
  const [a, b, c, value] = messages as [Buffer, Buffer, Buffer, Buffer]
  const expected = { In: { X: 5 }, L: ['a'] }
  for (const order of [
    [c, b, a],
    [b, Buffer.from(encodeGob(int(), 7)), c, a],
  ]) {
    const found = new GobDecoder(Buffer.concat([...order, value])).decodeAll().at(-1)
    assert.deepEqual(JSON.parse(JSON.stringify(found)), expected)
  }
})

test('a type may contain itself', () => {
  const node: GobType = gob.struct('Node', { V: int(), Next: gob.pointer(gob.lazy(() => node)) })
  const list: GobType = gob.slice(gob.lazy(() => list))
  const value = { V: 1, Next: { V: 2, Next: { V: 3 } } }
  assert.deepEqual(JSON.parse(JSON.stringify(decodeGob(encodeGob(node, value)))), value)
  const found = decodeGob(encodeGob(node, value), { as: node })
  assert.equal(JSON.stringify(found), '{"V":1,"Next":{"V":2,"Next":{"V":3,"Next":null}}}')
  assert.deepEqual(decodeGob(encodeGob(list, [[[]], []])), [[[]], []])
})

interface Named<T = object> {
  readonly name: string
  readonly value: T
}

interface Boxed {
  readonly Any: Named<{ readonly Any: Named }>
  readonly List: readonly (Named<unknown> | null)[]
}

test('interfaces carry a name, their type and the value, nested too; what was read can be written again', () => {
  const point = gob.struct('main.Point', { X: int() })
  const box = gob.struct('main.Box', { Any: gob.interface(), List: slice(gob.interface()) })
  const value = {
    Any: { name: 'main.Box', type: box, value: { Any: { name: 'main.Point', type: point, value: { X: 4 } } } },
    List: [{ name: 'int', type: int(), value: 5 }, null, { name: 'big', type: strings, value: ['x'] }],
  }
  const bytes = encodeGob(box, value)
  const found = decodeGob(bytes) as Boxed
  assert.equal(found.Any.name, 'main.Box')
  assert.deepEqual({ ...found.Any.value.Any.value }, { X: 4 })
  assert.equal(found.List[0]?.value, 5)
  assert.equal(found.List[1], null)
  assert.deepEqual(found.List[2]?.value, ['x'])
  const again = decodeGob(encodeGob(box, found)) as Boxed
  assert.deepEqual({ ...again.Any.value.Any.value }, { X: 4 })
})

test('an interface with the definition inside: the name, the definition, a count, the type, a count, the value', () => {
  const definition = 'ff81030101015001ff82000101010158010400' + '0000'
  const body = `1000` + '0161' + definition + '05' + 'ff82' + '03' + '010800'
  const hex = (body.length / 2).toString(16).padStart(2, '0') + body
  const found = decodeGob(Buffer.from(hex, 'hex')) as Named
  assert.equal(found.name, 'a')
  assert.deepEqual({ ...found.value }, { X: 4 })
})

/** As Go 1.19 wrote them. */
const INTERFACES: readonly (readonly [string, string, string])[] = [
  [
    'a struct',
    '25ff8103010103426f7801ff820001030101410104000103416e7901100001015a010c00000027ff82010201066d61696e2e' +
      '50ff83030101015001ff8400010201015801040001015901040000000cff8405010201040001017a00',
    '{"A":1,"Any":{"name":"main.P","value":{"X":1,"Y":2}},"Z":"z"}',
  ],
  [
    'a type of several definitions',
    '25ff8103010103426f7801ff820001030101410104000103416e7901100001015a010c00000034ff820102010b2a6d61696e' +
      '2e496e6e6572ff8303010105496e6e657201ff8400010201044e616d65010c0001015001ff860000001bff85030101015001' +
      'ff86000102010158010400010159010400000011ff840a01016e0101060108000001017a00',
    '{"A":1,"Any":{"name":"*main.Inner","value":{"Name":"n","P":{"X":3,"Y":4}}},"Z":"z"}',
  ],
  [
    'one inside another',
    '25ff8103010103426f7801ff820001030101410104000103416e7901100001015a010c00000076ff82010201086d61696e2e' +
      '426f78ff82320104010b2a6d61696e2e496e6e6572ff8303010105496e6e657201ff8400010201044e616d65010c00010150' +
      '01ff860000001bff85030101015001ff86000102010158010400010159010400000012ff840a01017101010a010c00000102' +
      '696e0001017a00',
    '{"A":1,"Any":{"name":"main.Box","value":{"A":2,"Any":{"name":"*main.Inner","value":{"Name":"q","P":{"X":5,"Y":6}}},"Z":"in"}},"Z":"z"}',
  ],
  [
    'three deep, with a definition in the innermost',
    '18ff81030101044465657001ff8200010101014101100000004dff8201096d61696e2e44656570ff823c01096d61696e2e44' +
      '656570ff822301066d61696e2e50ff83030101015001ff84000102010158010400010159010400000009ff84050102010400' +
      '000000',
    '{"A":{"name":"main.Deep","value":{"A":{"name":"main.Deep","value":{"A":{"name":"main.P","value":{"X":1,"Y":2}}}}}}}',
  ],
  [
    'a list of several',
    '28ff8103010104426f783201ff8200010301014c01ff840001014d01ff86000103416e7901100000001cff830201010e5b5d' +
      '696e74657266616365207b7d01ff84000110000027ff85040101176d61705b737472696e675d696e74657266616365207b7d' +
      '01ff8600010c0110000026ff820105066d61696e2e50ff87030101015001ff8800010201015801040001015901040000004e' +
      'ff88050102010400066d61696e2e50ff8805010601080003696e740402000a00086d61696e2e426f78ff8903010103426f78' +
      '01ff8a0001030101410104000103416e7901100001015a010c00000032ff8a16011201066d61696e2e50ff88050110011000' +
      '01016b0001010161085b5d737472696e67ff8b020102ff8c00010c000017ff8c04000101780107666c6f61743634080400fe' +
      '044000',
    '{"L":[{"name":"main.P","value":{"X":1,"Y":2}},{"name":"main.P","value":{"X":3,"Y":4}},{"name":"int","value":5},null,{"name":"main.Box","value":{"A":9,"Any":{"name":"main.P","value":{"X":8,"Y":8}},"Z":"k"}}],"M":{},"Any":{"name":"float64","value":2.5}}',
  ],
]
for (const [what, hex, expected] of INTERFACES) {
  test(`Go's interfaces: a definition ends its message, the value goes on in the next: ${what}`, () => {
    const found = decodeGob(Buffer.from(hex, 'hex'))
    const text = JSON.stringify(found, (key, value: unknown) => (key === 'type' ? undefined : value))
    assert.equal(text, expected)
    const [bytes] = new GobDecoder(Buffer.from(hex + '03040006', 'hex')).decodeAll().slice(1)
    assert.equal(bytes, 3)
    for (let length = 1; length < hex.length / 2; length++) {
      throwsCode(() => decodeGob(Buffer.from(hex, 'hex').subarray(0, length)), 'PROTOCOL')
    }
  })
}

test('lists and maps are numbered after what they hold, as Go does', () => {
  const type = gob.struct('main.M', {
    M: gob.map(string(), gob.map(string(), slice(int()))),
    A: gob.array(2, slice(string())),
  })
  const written = Buffer.from(encodeGob(type, {})).toString('hex')
  assert.equal(
    written,
    '1dff81030101014d01ff8200010201014d01ff880001014101ff8c0000002cff870401011b6d61705b737472696e675d6d61705b737472696e675d5b5d696e7401ff8800010c01ff8600000fff85040102ff8600010c01ff8400000cff83020102ff8400010400001cff8b0101010b5b325d5b5d737472696e6701ff8c0001ff8a010400000cff89020102ff8a00010c000007ff820202000000',
  )
})

test('types with a marshaler travel as their bytes', () => {
  for (const by of ['gob', 'binary', 'text'] as const) {
    const time = gob.struct('T', { At: gob.marshaled('time.Time', by) })
    const bytes = encodeGob(time, { At: new Uint8Array([1, 2]) })
    assert.deepEqual({ ...(decodeGob(bytes) as object) }, { At: new Uint8Array([1, 2]) })
    assert.ok(Buffer.from(bytes).includes('Time') && !Buffer.from(bytes).includes('time.'))
  }
})

test('a wanted type: fields by name, zero values filled in, others dropped, and a different kind is refused', () => {
  const sent = gob.struct('S', { A: int(), B: string(), C: slice(int()) })
  const as = gob.struct('Mine', { C: slice(int()), D: gob.map(string(), int()), P: gob.pointer(int()), A: int() })
  const found = decodeGob(encodeGob(sent, { A: 1, B: 'x' }), { as })
  assert.deepEqual({ ...found }, { A: 1, C: [], D: new Map(), P: null })
  assert.equal(Object.getPrototypeOf(found), null)
  const other = gob.struct('S', { A: gob.uint() })
  throwsCode(() => decodeGob(encodeGob(sent, { A: 1 }), { as: other }), 'INVALID_PARAMS')
  const two = gob.array(2, int())
  throwsCode(() => decodeGob(encodeGob(two, [1, 2]), { as: gob.array(3, int()) }), 'INVALID_PARAMS')
})

test('a field named __proto__ is a field', () => {
  const evil: GobType = { kind: 'struct', name: 'E', fields: [{ name: '__proto__', type: string() }] }
  const value = Object.defineProperty({}, '__proto__', { value: 'x', enumerable: true })
  const found = decodeGob(encodeGob(evil, value)) as object
  assert.deepEqual(Object.entries(found), [['__proto__', 'x']])
  assert.equal(Reflect.get({}, 'x'), undefined)
  assert.deepEqual(Object.keys(decodeGob(encodeGob(evil, {}), { as: evil }) as object), ['__proto__'])
})

test('values that are not of their type are refused with their place, and the stream goes on', () => {
  const type = gob.struct('T', { L: slice(gob.struct('U', { N: int() })) })
  const encoder = new GobEncoder()
  const error = throwsCode(() => encoder.encode(type, { L: [{ N: 1 }, { N: '2' }] }), 'INVALID_REQUEST')
  assert.match(error.message, /L\[1\]\.N/)
  const found = decodeGob(encoder.encode(type, { L: [{ N: 1 }] }))
  assert.equal(JSON.stringify(found), '{"L":[{"N":1}]}')
  const refused: readonly (readonly [GobType, unknown])[] = [
    [int(), 1.5],
    [int(), 2 ** 60],
    [int(), 2n ** 63n],
    [gob.uint(), -1],
    [gob.uint(), -1n],
    [gob.bool(), 'yes'],
    [string(), 5],
    [gob.bytes(), [1]],
    [strings, 'a'],
    [gob.map(string(), int()), { a: 1 }],
    [gob.array(2, int()), [1]],
    [gob.complex(), 3],
    [gob.complex(), {}],
    [gob.interface(), { value: 1 }],
    [gob.interface(), 5],
    [gob.pointer(int()), null],
    [slice(gob.pointer(int())), [null]],
    [gob.map(string(), gob.pointer(int())), new Map([['a', null]])],
    [gob.struct('S', {}), 'text'],
  ]
  for (const [of, value] of refused) throwsCode(() => encodeGob(of, value), 'INVALID_REQUEST')
  throwsCode(() => gob.array(-1, int()), 'INVALID_OPTION')
  const circle: GobType = gob.pointer(gob.lazy(() => circle))
  throwsCode(() => encodeGob(circle, {}), 'INVALID_OPTION')
})
