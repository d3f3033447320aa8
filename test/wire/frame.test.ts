import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { FLAG, Frame, KIND, TARGET } from '../../src/wire/frame.ts'
import { anyFields, anyRawFields, encode, fields, frameOf } from './support.ts'
import { FrameReader } from '../../src/wire/reader.ts'

/** The one frame of these bytes, while it is valid. */
function decoded<T>(bytes: Uint8Array, look: (frame: Frame) => T): T {
  const seen: T[] = []
  new FrameReader((frame) => seen.push(look(frame))).push(bytes, 0, bytes.length)
  assert.equal(seen.length, 1)
  return seen[0]!
}

describe('KIND, FLAG, TARGET', () => {
  it('B19, F1: no kind is a byte that UTF-8 begins with', () => {
    for (const kind of Object.values(KIND)) assert.ok(kind >= 0x80 && kind <= 0xbf, `0x${kind.toString(16)}`)
  })

  it('no two share a number; each flag is a bit of its own', () => {
    for (const list of [KIND, FLAG, TARGET]) assert.equal(new Set(Object.values(list)).size, Object.keys(list).length)
    assert.equal(
      Object.values(FLAG).reduce((sum, flag) => sum + flag, 0),
      255,
    )
  })
})

describe('Frame', () => {
  it('has the same fields when it was written and read, text or raw', () => {
    fc.assert(
      fc.property(fc.oneof(anyFields, anyRawFields), (of) => {
        assert.deepEqual(decoded(encode(frameOf(of)), fields), fields(frameOf(of)))
      }),
    )
  })

  it('half a surrogate pair becomes U+FFFD, and the lengths still agree', () => {
    const bytes = encode(frameOf({ kind: KIND.EVENT, name: 'a\ud800', body: '"\udfff"' }))
    assert.deepEqual(
      decoded(bytes, (frame) => [frame.name, frame.text]),
      ['a\ufffd', '"\ufffd"'],
    )
  })

  it('set() clears what an earlier frame left', () => {
    const frame = frameOf({
      kind: KIND.EVENT,
      flags: 2,
      a: 1,
      b: 2,
      c: 3,
      transfer: 4,
      number: 5,
      time: 6,
      name: 'n',
      body: 'ff',
    })
    assert.deepEqual(
      fields(frame.set(KIND.PING, 0, 0, 0, 0, 0, 0)),
      fields(new Frame().set(KIND.PING, 0, 0, 0, 0, 0, 0)),
    )
  })

  it('withBody keeps the RAW flag true to what it was given', () => {
    const frame = new Frame().set(KIND.EVENT, FLAG.IDEMPOTENT, 0, 0, 0, 0, 0)
    assert.equal(frame.withBody(Uint8Array.of(1)).flags, FLAG.IDEMPOTENT | FLAG.RAW)
    assert.equal(frame.withBody('1').flags, FLAG.IDEMPOTENT)
    assert.equal(frame.withBytes(Uint8Array.of(1)).flags, FLAG.IDEMPOTENT)
  })

  it('a frame that was read may get another body, or another name, and keeps the rest', () => {
    const bytes = encode(frameOf({ kind: KIND.REQUEST, a: 7, name: 'm\0target', body: '{"x":1}' }))
    decoded(bytes, (frame) =>
      assert.deepEqual(fields(frame.withBytes(Buffer.from('9'))), { ...fields(frame), name: 'm\0target', body: '9' }),
    )
    decoded(bytes, (frame) => {
      frame.nameText = 'm'
      assert.deepEqual(decoded(encode(frame), fields), {
        ...fields(frameOf({ kind: KIND.REQUEST, a: 7, name: 'm', body: '{"x":1}' })),
      })
    })
  })

  it('clone() and copyBody() outlive the chunk', () => {
    fc.assert(
      fc.property(fc.oneof(anyFields, anyRawFields), (of) => {
        const bytes = encode(frameOf(of))
        const [clone, body] = decoded(bytes, (frame) => [frame.clone(), frame.copyBody()] as const)
        bytes.fill(0)
        assert.deepEqual(fields(clone), fields(frameOf(of)))
        assert.deepEqual(body, frameOf(of).copyBody())
      }),
    )
  })

  it('hasBody and bodyBytes agree for text and bytes', () => {
    for (const [body, size] of [
      ['', 0],
      ['"é"', 4],
      [new Uint8Array(0), 0],
      [Uint8Array.of(0), 1],
    ] as const) {
      const frame = new Frame().set(KIND.EVENT, 0, 0, 0, 0, 0, 0).withBody(body)
      assert.equal(frame.bodyBytes(), size)
      assert.equal(frame.hasBody, size > 0)
    }
  })
})
