import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SLAB_BYTES, SLAB_FRAME_BYTES } from '../../src/events/limits.ts'
import { Slab } from '../../src/events/slab.ts'
import { Frame, KIND } from '../../src/wire/frame.ts'
import { HEADER_BYTES } from '../../src/wire/limits.ts'
import { FrameReader } from '../../src/wire/reader.ts'

const event = (number: number, body: string | Uint8Array): Frame =>
  new Frame().set(KIND.EVENT, 0, 1, 2, number, number, 5).withName('é').withBody(body)

function read({ chunk, start, end }: { chunk: Uint8Array; start: number; end: number }): Frame {
  const frames: Frame[] = []
  new FrameReader((frame) => frames.push(frame.clone())).push(chunk, start, end)
  assert.equal(frames.length, 1)
  return frames[0]!
}

test('SLAB_BYTES: frames lie side by side in chunks, and stay what they are', () => {
  const slab = new Slab()
  const places = []
  for (let number = 1; number <= 1000; number++) {
    slab.put(event(number, 'x'.repeat(number % 300)))
    places.push({ chunk: slab.chunk, start: slab.start, end: slab.end })
  }
  for (const [at, place] of places.entries()) {
    const { number, name, text, time } = read(place)
    assert.deepEqual([number, name, text.length, time], [at + 1, 'é', (at + 1) % 300, 5])
    assert.equal(place.chunk.length, SLAB_BYTES)
    const next = places[at + 1]
    assert.ok(next === undefined || next.start === place.end || (next.start === 0 && next.chunk !== place.chunk))
  }
  const bytes = places.reduce((sum, { start, end }) => sum + end - start, 0)
  assert.ok(new Set(places.map(({ chunk }) => chunk)).size <= Math.ceil(bytes / (SLAB_BYTES - SLAB_FRAME_BYTES)))
})

test('SLAB_FRAME_BYTES: a longer one has an array of its own size, and those around it share a chunk', () => {
  const slab = new Slab()
  slab.put(event(1, 'a'))
  const { chunk, end } = slab
  for (const body of ['€'.repeat(SLAB_FRAME_BYTES), new Uint8Array(SLAB_FRAME_BYTES), 'x'.repeat(100_000)]) {
    slab.put(event(2, body))
    assert.deepEqual([slab.start, slab.end], [0, slab.chunk.length])
    assert.equal(slab.end, HEADER_BYTES + 2 + Buffer.byteLength(body))
  }
  slab.put(event(3, 'b'))
  assert.deepEqual([slab.chunk === chunk, slab.start], [true, end])
})
