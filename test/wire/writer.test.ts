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
  UNBATCHED_BYTES,
} from '../../src/wire/limits.ts'
import { FrameReader } from '../../src/wire/reader.ts'
import { BatchPool, BatchWriter, writeFrame, type Batch, type EncodedFrame } from '../../src/wire/writer.ts'
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

  const events = (count: number, body: string, b = 7): EncodedFrame[] => {
    const bytes = new Uint8Array(count * (HEADER_BYTES + body.length * 3))
    const batch: Batch = { bytes, view: new DataView(bytes.buffer) }
    let start = 0
    return Array.from({ length: count }, (_, at) => {
      const end = writeFrame(frameOf({ kind: KIND.EVENT, b, c: at + 1, body }), batch, start)
      const frame = { chunk: bytes, start, end, b }
      start = end
      return frame
    })
  }

  it('encoded frames side by side go out from where they lie; others are copied, and all are in order', () => {
    const { pool, writer, writes, seen, buffers } = setUp()
    const frames = events(10, 'body')
    for (const frame of frames) writer.encoded(frame, 7)
    assert.equal(writer.pendingBytes, 10 * (HEADER_BYTES + 4))
    writer.flush()
    assert.deepEqual([writes.length, pool.taken, buffers.has(frames[0]!.chunk)], [1, 0, true])
    for (const at of [0, 1, 5, 4]) writer.encoded(frames[at]!, 7)
    writer.frame(frameOf({ kind: KIND.PING, c: 99 }))
    writer.encoded(frames[9]!, 7)
    assert.equal(writer.pendingBytes, 5 * (HEADER_BYTES + 4) + HEADER_BYTES)
    writer.flush()
    assert.equal(writes.length, 2)
    assert.deepEqual(
      seen.map(({ c }) => c),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 6, 5, 99, 10],
    )
    assert.equal(pool.taken, pool.given)
  })

  it('an encoded frame goes out with the b of its link, and its own bytes stay as they are', () => {
    const { writer, seen } = setUp()
    const frames = events(4, 'body')
    const before = Buffer.from(frames[0]!.chunk).toString('hex')
    for (const frame of frames) writer.encoded(frame, 8)
    for (const frame of frames) writer.encoded(frame, 7)
    writer.encoded({ ...frames[0]!, b: 0 }, 7)
    writer.flush()
    assert.deepEqual(
      seen.map(({ b, c, body }) => [b, c, body.length]),
      [8, 8, 8, 8, 7, 7, 7, 7, 7].map((b, at) => [b, (at % 4) + 1, 4]),
    )
    assert.equal(Buffer.from(frames[0]!.chunk).toString('hex'), before)
  })

  it('UNBATCHED_BYTES: a long run is written from where it lies though more follows', () => {
    const { writer, writes, seen, buffers } = setUp()
    const body = 'x'.repeat(UNBATCHED_BYTES / 2)
    const frames = [...events(2, body), ...events(1, 'short')]
    for (const frame of frames) writer.encoded(frame, 7)
    assert.deepEqual([writes.length, buffers.has(frames[0]!.chunk)], [1, true])
    writer.flush()
    assert.deepEqual([writes.length, seen.length], [2, 3])
  })

  it('what was gathered is dropped, encoded frames too', () => {
    const { writer, writes } = setUp()
    writer.encoded(events(1, 'x')[0]!, 7)
    writer.discard()
    writer.flush()
    assert.deepEqual([writer.pendingBytes, writes.length], [0, 0])
  })

  it('publishes that follow each other as events do share an acknowledgement', () => {
    const { writer, writes, seen } = setUp()
    const scratch = new Frame()
    const acknowledge = (publish: number, event: number): void => writer.acknowledge(scratch, publish, event)
    for (let at = 0; at < 5; at++) acknowledge(10 + at, 100 + at)
    acknowledge(15, 106)
    acknowledge(17, 107)
    acknowledge(18, 108)
    writer.frame(frameOf({ kind: KIND.PING, number: 1 }))
    acknowledge(19, 109)
    writer.encoded(events(1, 'x')[0]!, 7)
    acknowledge(20, 110)
    writer.flush()
    acknowledge(21, 111)
    writer.flush()
    assert.equal(writes.length, 2)
    assert.deepEqual(
      seen.filter(({ kind }) => kind === KIND.PUBLISHED).map(({ number, b, c }) => [number, b, c]),
      [
        [10, 5, 100],
        [15, 1, 106],
        [17, 2, 107],
        [19, 1, 109],
        [20, 1, 110],
        [21, 1, 111],
      ],
    )
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
