import assert from 'node:assert/strict'
import { describe, it, test } from 'node:test'
import { BlockPool } from '../../src/wire/blocks.ts'
import { FLAG, Frame, KIND } from '../../src/wire/frame.ts'
import {
  BLOCK_BYTES,
  FORETOLD_FACTOR,
  IDLE_BLOCKS,
  MAX_FRAGMENT_BYTES,
  POOLED_BLOCKS,
  TRANSFER_WINDOW_BYTES,
} from '../../src/wire/limits.ts'
import { Assembly, OutgoingTransfer } from '../../src/wire/transfer.ts'
import { fields, frameOf } from './support.ts'

const head = (): Frame => frameOf({ kind: KIND.EVENT, a: 1, b: 2, c: 3, number: 4, time: 5, name: 'topic' })

/** The fragments that go out now, as [kind, flags, bytes]. */
function sent(transfer: OutgoingTransfer): [number, number, number][] {
  const frame = new Frame()
  const list: [number, number, number][] = []
  while (transfer.ready) {
    if (transfer.next(frame)) list.push([frame.kind, frame.flags, frame.bodyEnd - frame.bodyStart])
    assert.ok(list.length === 0 || frame.transfer === transfer.id)
  }
  return list
}

describe('OutgoingTransfer', () => {
  it('header and name with the first fragment, CHUNKs after it, the last without MORE', () => {
    const transfer = new OutgoingTransfer(7, head(), new Uint8Array(MAX_FRAGMENT_BYTES + 10))
    const frame = new Frame()
    assert.ok(transfer.next(frame))
    assert.deepEqual(
      { ...fields(frame), body: '' },
      {
        kind: KIND.EVENT,
        flags: FLAG.MORE,
        a: 1,
        b: 2,
        c: 3,
        transfer: 7,
        number: 4,
        time: 5,
        name: 'topic',
        body: '',
      },
    )
    assert.deepEqual(sent(transfer), [[KIND.CHUNK, 0, 10]])
  })

  it('F5: stops at TRANSFER_WINDOW_BYTES and goes on with what it is granted', () => {
    const transfer = new OutgoingTransfer(1, head(), new Uint8Array(TRANSFER_WINDOW_BYTES + 100))
    const bytes = sent(transfer).reduce((sum, [, , size]) => sum + size, 0)
    assert.equal(bytes, TRANSFER_WINDOW_BYTES)
    assert.equal(transfer.spent, false)
    transfer.grant(60)
    assert.deepEqual(sent(transfer), [[KIND.CHUNK, FLAG.MORE, 60]])
    transfer.grant(1000)
    assert.deepEqual(sent(transfer), [[KIND.CHUNK, 0, 40]])
    assert.deepEqual([transfer.spent, transfer.ended], [true, false])
  })

  it('tells its end only when it is closed, once', () => {
    let ends = 0
    const transfer = new OutgoingTransfer(1, head(), new Uint8Array(10))
    transfer.onEnd = () => ends++
    sent(transfer)
    assert.equal(ends, 0, 'what onEnd sends would overtake the last fragment')
    transfer.close()
    transfer.close()
    assert.deepEqual([ends, transfer.ended, transfer.ready], [1, true, false])
  })

  it('parts that come later: each goes out as it comes, an empty last one ends it', () => {
    const taken: number[] = []
    const transfer = new OutgoingTransfer(1, head())
    transfer.onTaken = (bytes) => taken.push(bytes)
    assert.deepEqual(sent(transfer), [])
    transfer.push(new Uint8Array(3), false)
    transfer.push(new Uint8Array(4), false)
    assert.deepEqual(sent(transfer), [
      [KIND.EVENT, FLAG.MORE, 3],
      [KIND.CHUNK, FLAG.MORE, 4],
    ])
    transfer.push(new Uint8Array(0), true)
    assert.deepEqual(sent(transfer), [[KIND.CHUNK, 0, 0]])
    assert.deepEqual(taken, [3, 4])
  })

  it('aborted before it began: nothing goes out; aborted after: ABORTED', () => {
    const early = new OutgoingTransfer(1, head(), new Uint8Array(10))
    early.abort()
    assert.deepEqual(sent(early), [])
    const late = new OutgoingTransfer(1, head(), new Uint8Array(MAX_FRAGMENT_BYTES * 2))
    late.next(new Frame())
    late.abort()
    assert.deepEqual(sent(late), [[KIND.CHUNK, FLAG.ABORTED, 0]])
    assert.ok(early.spent && late.spent)
  })

  it('abort after the last fragment changes nothing', () => {
    const transfer = new OutgoingTransfer(1, head(), new Uint8Array(10))
    sent(transfer)
    transfer.abort()
    assert.equal(transfer.ready, false)
  })

  for (const [how, give] of [
    ['aborted', (transfer: OutgoingTransfer) => transfer.abort()],
    ['closed', (transfer: OutgoingTransfer) => transfer.close()],
  ] as const) {
    it(`${how}: the source of its parts gets their window back, also for those that come later`, () => {
      let taken = 0
      const transfer = new OutgoingTransfer(1, head())
      transfer.onTaken = (bytes) => (taken += bytes)
      transfer.grant(10 - TRANSFER_WINDOW_BYTES)
      transfer.push(new Uint8Array(100), false)
      sent(transfer)
      assert.equal(taken, 10)
      transfer.push(new Uint8Array(50), false)
      give(transfer)
      assert.equal(taken, 150)
      transfer.push(new Uint8Array(7), true)
      assert.equal(taken, 157)
    })
  }
})

describe('Assembly', () => {
  const whole = (parts: readonly string[]): { text: string; taken: number; flags: number } => {
    let taken = 0
    let message: { text: string; flags: number } | undefined
    const first = frameOf({ kind: KIND.EVENT, flags: FLAG.MORE | FLAG.RAW, name: 'topic' })
    const assembly = new Assembly(
      first,
      (bytes) => (taken += bytes),
      (frame) => (message = { text: frame.text, flags: frame.flags }),
    )
    first.set(0, 0, 0, 0, 0, 0, 0)
    for (const [i, part] of parts.entries()) {
      assert.equal(message, undefined)
      const bytes = Buffer.from(`..${part}.`)
      assembly.fragment(bytes, 2, bytes.length - 1, i === parts.length - 1, false)
      bytes.fill(0)
    }
    return { ...message!, taken }
  }

  it('joins what was cut anywhere, and takes every byte', () => {
    assert.deepEqual(whole(['ab', '', 'c', 'defgh', '']), { text: 'abcdefgh', flags: FLAG.RAW, taken: 8 })
    assert.deepEqual(whole(['']), { text: '', flags: FLAG.RAW, taken: 0 })
  })

  it('gives nothing when it is aborted', () => {
    const assembly = new Assembly(
      head(),
      () => {},
      () => assert.fail('a message came'),
    )
    assembly.fragment(Uint8Array.of(1), 0, 1, false, false)
    assembly.fragment(new Uint8Array(0), 0, 0, true, true)
  })

  it('B17: byte by byte it costs no more memory than in one piece', () => {
    const size = 200_000
    const byte = Uint8Array.of(1)
    const assembly = new Assembly(
      head(),
      () => {},
      (frame) => assert.equal(frame.bodyBytes(), size),
    )
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    for (let i = 0; i < size; i++) assembly.fragment(byte, 0, 1, false, false)
    const now = process.memoryUsage()
    const taken = now.arrayBuffers - arrayBuffers + Math.max(0, now.heapUsed - heapUsed)
    assert.ok(taken < 20 * size, `${taken} bytes for a body of ${size}`)
    assembly.fragment(byte, 0, 0, true, false)
  })
})

test('memory of long bodies goes back to its pool when it is written, and little of it is kept when nothing is sent', () => {
  const blocks = new BlockPool()
  const free: Uint8Array[] = []
  const give = blocks.give.bind(blocks)
  blocks.give = (block) => {
    free.push(block)
    give(block)
  }
  const frame = new Frame()
  const body = new Uint8Array((POOLED_BLOCKS + 10) * MAX_FRAGMENT_BYTES).fill(7)
  const transfer = new OutgoingTransfer(1, head(), body, blocks)
  transfer.grant(body.length)
  transfer.next(frame)
  // It is written when the next one is asked for, or the end is told.
  assert.deepEqual([free.length, frame.bytes.length], [0, BLOCK_BYTES])
  while (transfer.ready) transfer.next(frame)
  assert.equal(free.length, POOLED_BLOCKS + 9)
  transfer.close()
  transfer.close()
  assert.equal(free.length, POOLED_BLOCKS + 10)
  const kept = Array.from({ length: POOLED_BLOCKS }, () => blocks.take()).filter(
    (block) => block[BLOCK_BYTES - 2000] === 7,
  )
  assert.equal(kept.length, IDLE_BLOCKS)
  // One that is given up gives back what it has not sent.
  free.length = 0
  new OutgoingTransfer(2, head(), body.subarray(0, 3 * MAX_FRAGMENT_BYTES), blocks).close()
  assert.equal(free.length, 3)
})

test('a receiver makes room for what is foretold, never for more than FORETOLD_FACTOR times what has come', () => {
  const part = new Uint8Array(1000).fill(1)
  const joined = (total: number, parts: number): Frame => {
    let message: Frame | undefined
    const assembly = new Assembly(
      head(),
      () => {},
      (whole) => (message = whole.clone().withBytes(whole.takeBody())),
    )
    for (let n = 1; n <= parts; n++) assembly.fragment(part, 0, part.length, n === parts, false, n === 1 ? 0 : total)
    return message!
  }
  const before = process.memoryUsage().arrayBuffers
  const whole = joined(3000, 3)
  assert.equal(whole.bytes.buffer.byteLength, 3000)
  // A lie costs a little memory, and the body is what came.
  const lied = joined(0xffffffff, 2)
  assert.equal(lied.bytes.length, 2000)
  assert.ok(process.memoryUsage().arrayBuffers - before < 3 * FORETOLD_FACTOR * 2000)
  assert.deepEqual(joined(1, 5).bytes, new Uint8Array(5000).fill(1))
})
