import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NameCache } from '../../src/wire/names.ts'

test('a name is what its bytes say, whichever came before, though the buffer is one that is read into again', () => {
  const name = fc.oneof(fc.constantFrom('a.x', 'a.y', 'b.x', ''), fc.string({ unit: 'grapheme', maxLength: 20 }))
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 300 }), (names) => {
      const cache = new NameCache()
      // A Buffer, as sockets are read into: its `slice` is no copy.
      const buffer = Buffer.alloc(200)
      for (const one of names) assert.equal(cache.read(buffer, 3, 3 + buffer.write(one, 3)), one)
    }),
  )
})

test('more names than there are places: each is still read as it is', () => {
  const cache = new NameCache()
  for (let round = 0; round < 2; round++) {
    for (let n = 0; n < 1000; n++) {
      const bytes = Buffer.from(`topic.${n}`)
      assert.equal(cache.read(bytes, 0, bytes.length), `topic.${n}`)
    }
  }
})

test('a name is admitted when it is not remembered; one that is not admitted is asked about again', () => {
  const asked: string[] = []
  const cache = new NameCache((name) => {
    asked.push(name)
    if (name === 'bad') throw new Error('no')
  })
  const read = (name: string): string => cache.read(Buffer.from(name), 0, name.length)
  for (const name of ['good', 'good']) assert.equal(read(name), name)
  for (let times = 0; times < 2; times++) assert.throws(() => read('bad'), /no/)
  assert.equal(read('good'), 'good')
  assert.deepEqual(asked, ['good', 'bad', 'bad'])
})
