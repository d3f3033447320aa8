import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { MAX_MEMBER_NAME, negotiate, parseHello, parseWelcome, PROTOCOL, type Hello } from '../../src/wire/handshake.ts'
import { throwsCode } from './support.ts'

const hello: Hello = {
  protocol: [1, 1],
  workspace: '64769:1311',
  id: 'AAAAAAAAAAAAAAAAAAAAAA',
  name: 'editor',
  pid: 4711,
  term: 3,
  version: 2,
  minVersion: 1,
  stands: true,
}
const welcome = {
  protocol: 1,
  term: 3,
  slot: 2,
  primary: { id: 'BBBBBBBBBBBBBBBBBBBBBB', name: 'server', pid: 1 },
  version: 2,
  lastPublish: 9,
  limits: { maxBodyBytes: 1000 },
}
const id = fc.stringMatching(/^[A-Za-z0-9_-]{22}$/)
const name = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: MAX_MEMBER_NAME })
  .filter((text) => text.length <= MAX_MEMBER_NAME && !/\p{Cc}/u.test(text))

describe('parseHello', () => {
  it('gives back any proper hello, and nothing of what it does not know', () => {
    const any = fc.record({
      protocol: fc.tuple(fc.nat(), fc.nat()).map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const),
      workspace: fc.string(),
      id,
      name,
      pid: fc.nat(),
      term: fc.nat(),
      version: fc.nat(),
      minVersion: fc.nat(),
      stands: fc.boolean(),
    })
    fc.assert(
      fc.property(any, fc.jsonValue(), (of, more) => {
        assert.deepEqual(parseHello(JSON.stringify({ ...of, more, later: [more] })), { ...of })
      }),
    )
  })

  it('garbage is PROTOCOL, whatever it is', () => {
    const parse = (text: string): void => {
      try {
        parseHello(text)
      } catch (error) {
        throwsCode(() => {
          throw error
        }, 'PROTOCOL')
      }
    }
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), parse))
    const hostile = fc.record(
      Object.fromEntries(
        Object.keys(hello).map((key) => [key, fc.oneof(fc.jsonValue(), fc.constant(hello[key as keyof Hello]))]),
      ),
      { requiredKeys: [] },
    )
    fc.assert(fc.property(hostile, (value) => parse(JSON.stringify(value))))
  })

  it('names the field that is wrong', () => {
    for (const [field, ...values] of [
      ['protocol', undefined, 1, [1], [1, 2, 3], [1, '1'], [1.5, 2], [2, 1], [-1, 1], { 0: 1, 1: 1, length: 2 }],
      ['id', undefined, 7, '', 'short', `${hello.id}x`, 'AAAAAAAAAAAAAAAAAAAAA/', `${hello.id}\n`],
      ['name', undefined, 7, '', 'x'.repeat(MAX_MEMBER_NAME + 1), 'a\0b', '\u001b[31m', 'a\nb', '\u0085'],
      ['workspace', undefined, 7, null],
    ] as const) {
      for (const value of values) {
        const error = throwsCode(() => parseHello(JSON.stringify({ ...hello, [field]: value })), 'PROTOCOL')
        assert.match(error.message, new RegExp(`"${field}"`), JSON.stringify(value))
      }
    }
    assert.equal(
      parseHello(JSON.stringify({ ...hello, name: 'x'.repeat(MAX_MEMBER_NAME) })).name.length,
      MAX_MEMBER_NAME,
    )
  })

  it('counts that are none are 0, and only true is true', () => {
    const odd = { ...hello, pid: -1, term: 2 ** 60, version: '2', minVersion: 0.5, stands: 1 }
    const { pid, term, version, minVersion, stands } = parseHello(JSON.stringify(odd))
    assert.deepEqual([pid, term, version, minVersion, stands], [0, 0, 0, 0, false])
  })

  it('does not look names up in a prototype', () => {
    const text = `{"__proto__":${JSON.stringify(hello)}}`
    throwsCode(() => parseHello(text), 'PROTOCOL')
  })
})

describe('parseWelcome', () => {
  it('gives back what it knows', () => {
    assert.deepEqual(parseWelcome(JSON.stringify({ ...welcome, later: true })), welcome)
  })

  it('without term, slot or a primary that can be named it is PROTOCOL', () => {
    for (const wrong of [
      { term: 0 },
      { slot: -1 },
      { primary: null },
      { primary: {} },
      { primary: { ...welcome.primary, id: 'x' } },
      { primary: { ...welcome.primary, name: '\u001b' } },
    ]) {
      throwsCode(() => parseWelcome(JSON.stringify({ ...welcome, ...wrong })), 'PROTOCOL')
    }
  })

  it('garbage is PROTOCOL, whatever it is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (text) => void throwsCode(() => parseWelcome(text), 'PROTOCOL')),
    )
  })
})

describe('negotiate', () => {
  const range = fc
    .tuple(fc.integer({ min: 0, max: 20 }), fc.integer({ min: 0, max: 20 }))
    .map(([a, b]) => [Math.min(a, b), Math.max(a, b)] as const)

  it('C3: the highest version of both, or VERSION_MISMATCH that says which side is older', () => {
    fc.assert(
      fc.property(range, range, (primary, member) => {
        const common = Array.from({ length: 21 }, (_, v) => v).filter(
          (v) => v >= primary[0] && v <= primary[1] && v >= member[0] && v <= member[1],
        )
        if (common.length > 0) {
          assert.equal(negotiate(primary, member), common.at(-1))
          return
        }
        const error = throwsCode(() => negotiate(primary, member), 'VERSION_MISMATCH')
        assert.match(error.message, member[1] < primary[0] ? /joining member is older/ : /primary is older/)
        assert.deepEqual(error.data, { primary, member })
        assert.ok(error.message.includes(primary.join(' to ')) && error.message.includes(member.join(' to ')))
      }),
    )
  })

  it('speaks what it says it speaks', () => {
    assert.equal(negotiate(PROTOCOL, PROTOCOL), PROTOCOL[1])
  })
})
