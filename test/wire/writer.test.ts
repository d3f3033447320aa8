import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import { FLAG, Frame, KIND } from '../../src/wire/frame.ts'
import {
  BATCH_BYTES,
  HEADER_BYTES,
  LONG_FRAGMENT_BYTES,
  MAX_FRAGMENT_BYTES,
  POOLED_BATCHES,
  POOLED_SMALL_BATCHES,
  SMALL_BATCH_BYTES,
} from '../../src/wire/limits.ts'
import { FrameReader } from '../../src/wire/reader.ts'
import { BatchPool, BatchWriter, type Batch } from '../../src/wire/writer.ts'
import { encode, fields, frameOf, type Fields } from './support.ts'

class SpyPool extends BatchPool {
  taken = 0
  given = 0
  override take(bytes: number): Batch {
    this.taken++
    return super.take(bytes)
  }
  override give(batch: Batch): void {
    this.given++
    super.give(batch)
  }
}

function setUp(): { pool: SpyPool; writer: BatchWriter; writes: number[]; seen: Fields[]; buffers: Set<Uint8Array> } {
  const pool = new SpyPool()
  const seen: Fields[] = []
  const writes: number[] = []
  const buffers = new Set<Uint8Array>()
  const reader = new FrameReader((frame) => seen.push(fields(frame)))
  const writer = new BatchWriter(pool, (bytes, start, end) => {
    writes.push(end - start)
    buffers.add(bytes)
    reader.push(bytes, start, end)
  })
  return { pool, writer, writes, seen, buffers }
}

describe('BatchWriter', () => {
  it('one write for all frames of a turn, in order', () => {
    const { writer, writes, seen } = setUp()
    for (let number = 1; number <= 100; number++) writer.frame(frameOf({ kind: KIND.PING, number }))
    assert.equal(writer.pendingBytes, 100 * HEADER_BYTES)
    assert.deepEqual(writes, [])
    writer.flush()
    assert.deepEqual(writes, [100 * HEADER_BYTES])
    assert.deepEqual(
      seen.map(({ number }) => number),
      Array.from({ length: 100 }, (_, i) => i + 1),
    )
    assert.equal(writer.pendingBytes, 0)
  })

  it('a flush without frames writes nothing', () => {
    const { pool, writer, writes } = setUp()
    writer.flush()
    assert.deepEqual([writes.length, pool.taken], [0, 0])
  })

  it('borrows its buffer for the turn and gives it back', () => {
    const { pool, writer, buffers } = setUp()
    for (let turn = 0; turn < 10; turn++) {
      writer.frame(frameOf({ kind: KIND.PING }))
      writer.flush()
    }
    assert.deepEqual([pool.taken, pool.given, buffers.size], [10, 10, 1])
    writer.frame(frameOf({ kind: KIND.PING }))
    writer.discard()
    assert.deepEqual([pool.given, writer.pendingBytes], [11, 0])
  })

  it('SMALL_BATCH_BYTES: a busy turn moves to a larger buffer, and is still one write', () => {
    const { pool, writer, writes, seen } = setUp()
    const body = 'ab'.repeat(500)
    const frames = Math.ceil((2 * SMALL_BATCH_BYTES) / body.length)
    for (let number = 1; number <= frames; number++) writer.frame(frameOf({ kind: KIND.EVENT, flags: 2, number, body }))
    writer.flush()
    assert.equal(writes.length, 1)
    assert.deepEqual(
      seen.map(({ number, body: { length } }) => [number, length]),
      Array.from({ length: frames }, (_, at) => [at + 1, body.length]),
    )
    assert.equal(pool.taken, pool.given)
  })

  it('BATCH_BYTES: what does not fit beside the rest goes in a second write', () => {
    const { writer, writes, seen } = setUp()
    const body = 'ab'.repeat(BATCH_BYTES / 2 - HEADER_BYTES)
    for (let number = 1; number <= 3; number++) writer.frame(frameOf({ kind: KIND.EVENT, flags: 2, number, body }))
    writer.flush()
    assert.deepEqual(writes, [BATCH_BYTES, BATCH_BYTES / 2])
    assert.deepEqual(
      seen.map(({ number }) => number),
      [1, 2, 3],
    )
  })

  it('a frame larger than the batch gets a buffer of its own, which no pool keeps', () => {
    const { pool, writer, seen } = setUp()
    for (const body of ['x'.repeat(MAX_FRAGMENT_BYTES), '€'.repeat(MAX_FRAGMENT_BYTES / 3)]) {
      writer.frame(frameOf({ kind: KIND.PING, number: 1 }))
      writer.frame(frameOf({ kind: KIND.EVENT, number: 2, body }))
      writer.frame(frameOf({ kind: KIND.PING, number: 3 }))
      writer.flush()
      assert.deepEqual(
        seen.splice(0).map((of) => [of.number, of.body.length]),
        [
          [1, 0],
          [2, body.length],
          [3, 0],
        ],
      )
    }
    assert.equal(pool.take(BATCH_BYTES).bytes.length, BATCH_BYTES)
  })

  it('JSON lines go the same way', () => {
    const written: string[] = []
    const writer = new BatchWriter(new BatchPool(), (bytes, start, end) =>
      written.push(Buffer.from(bytes.subarray(start, end)).toString()),
    )
    writer.text('{"é":1}\n')
    writer.text('[]\n')
    writer.flush()
    assert.deepEqual(written, ['{"é":1}\n[]\n'])
  })

  it('a write that sends the next frame finds the writer ready', () => {
    const written: number[] = []
    const writer: BatchWriter = new BatchWriter(new BatchPool(), (_bytes, start, end) => {
      written.push(end - start)
      if (written.length === 1) writer.frame(frameOf({ kind: KIND.PONG }))
    })
    writer.frame(frameOf({ kind: KIND.PING }))
    writer.flush()
    assert.equal(writer.pendingBytes, HEADER_BYTES)
    writer.flush()
    assert.deepEqual(written, [HEADER_BYTES, HEADER_BYTES])
  })
})

describe('BatchPool', () => {
  for (const [name, kept, bytes] of [
    ['POOLED_BATCHES', POOLED_BATCHES, BATCH_BYTES],
    ['POOLED_SMALL_BATCHES', POOLED_SMALL_BATCHES, SMALL_BATCH_BYTES],
  ] as const) {
    it(`${name}: keeps so many and no more`, () => {
      const pool = new BatchPool()
      const batches = Array.from({ length: kept + 1 }, () => pool.take(bytes))
      assert.equal(new Set(batches).size, kept + 1)
      for (const batch of batches) pool.give(batch)
      const again = new Set(Array.from({ length: kept + 1 }, () => pool.take(bytes)))
      assert.equal(batches.filter((batch) => again.has(batch)).length, kept)
    })
  }
})

test('LONG_FRAGMENT_BYTES: a long fragment is written from where it lies, and is the frame that would have been copied', () => {
  const room = 100
  const body = new Uint8Array(LONG_FRAGMENT_BYTES).fill(5)
  for (const name of ['', 'm\u00e9thode']) {
    const bytes = new Uint8Array(room + body.length)
    bytes.set(body, room)
    const frame = new Frame().set(KIND.RESPONSE, FLAG.MORE | FLAG.RAW, 1, 2, 3, 4, 5)
    frame.transfer = 6
    if (name !== '') frame.nameText = name
    const expected = encode(new Frame().set(KIND.PING, 0, 0, 0, 0, 1, 0), frame.withBytes(body))
    Object.assign(frame, { bytes, bodyStart: room, bodyEnd: bytes.length })
    const written: [Uint8Array, Uint8Array][] = []
    const writer = new BatchWriter(new BatchPool(), (of, start, end) => written.push([of, of.slice(start, end)]))
    writer.frame(new Frame().set(KIND.PING, 0, 0, 0, 0, 1, 0))
    writer.fragment(frame)
    assert.deepEqual(Buffer.concat(written.map(([, part]) => part)), expected)
    assert.equal(written.at(-1)![0], bytes)
  }
})
