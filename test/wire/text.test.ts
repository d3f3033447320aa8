import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import * as withBuffer from '../../src/wire/text.ts'

/** The module as it is where there is no Buffer. */
async function plain(): Promise<typeof withBuffer> {
  const kept = globalThis.Buffer
  try {
    Reflect.deleteProperty(globalThis, 'Buffer')
    const another = '../../src/wire/text.ts?plain'
    return (await import(another)) as typeof withBuffer
  } finally {
    Object.defineProperty(globalThis, 'Buffer', { value: kept, configurable: true, writable: true })
  }
}

const withoutBuffer = await plain()

describe('text', () => {
  for (const [where, text] of [
    ['with Buffer', withBuffer],
    ['without Buffer', withoutBuffer],
  ] as const) {
    it(`writes and reads any string at any offset, ${where}`, () => {
      fc.assert(
        fc.property(fc.string({ unit: 'binary' }), fc.nat({ max: 8 }), (value, offset) => {
          const target = new Uint8Array(offset + value.length * 3)
          const written = text.writeText(target, value, offset)
          assert.equal(written, text.textBytes(value))
          assert.equal(text.readText(target, offset, offset + written), value)
          assert.deepEqual(text.encodeText(value), target.slice(offset, offset + written))
        }),
      )
    })

    it(`keeps a byte order mark and replaces what is not UTF-8, ${where}`, () => {
      assert.equal(text.readText(Uint8Array.of(0xef, 0xbb, 0xbf, 0x31), 0, 4), '\ufeff1')
      assert.equal(text.readText(Uint8Array.of(0x61, 0xff, 0x62), 0, 3), 'a\ufffdb')
    })

    it(`counts half a surrogate pair as it is written, ${where}`, () => {
      const target = new Uint8Array(8)
      assert.equal(text.writeText(target, 'a\ud800', 0), text.textBytes('a\ud800'))
    })

    it(`copies a part, ${where}`, () => {
      const to = new Uint8Array(5)
      text.copyBytes(Uint8Array.of(9, 1, 2, 9), 1, 3, to, 2)
      assert.deepEqual(to, Uint8Array.of(0, 0, 1, 2, 0))
    })
  }

  it('the two are not the same module', () => {
    assert.notEqual(withBuffer.readText, withoutBuffer.readText)
  })
})
