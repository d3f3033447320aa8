import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import {
  Assembler,
  ChunkFault,
  packetsOf,
  readHeader,
  writeHeader,
  writePacket,
} from '../../../src/dialects/drpc/chunks.ts'
import { CHUNK_BYTES, HEADER_BYTES, PACKET_BYTES } from '../../../src/dialects/drpc/limits.ts'
import { pattern } from './support.ts'

function assemble(packets: readonly Uint8Array[], assembler = new Assembler()): Uint8Array | undefined {
  let message: Uint8Array | undefined
  for (const [index, packet] of packets.entries()) {
    message = assembler.push(packet, 0, packet.length)
    assert.equal(message !== undefined, index === packets.length - 1)
  }
  return message
}

/** A packet whose header says what it wants. */
function packet(header: Partial<ReturnType<typeof readHeader>>, data = 0): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + data)
  writeHeader(bytes, { totalBytes: data, chunkBytes: data, index: 0, count: 1, ...header })
  return bytes
}

function fault(assembler: Assembler, bytes: Uint8Array): ChunkFault {
  try {
    assembler.push(bytes, 0, bytes.length)
  } catch (error) {
    assert.ok(error instanceof ChunkFault)
    return error
  }
  return assert.fail('it was taken')
}

describe('packets', () => {
  for (const size of [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 10_000_000]) {
    test(`${size} bytes in as many packets as it takes, full but for the last, and back`, () => {
      const message = pattern(size)
      const packets = packetsOf(message)
      assert.equal(packets.length, Math.max(1, Math.ceil(size / CHUNK_BYTES)))
      for (const full of packets.slice(0, -1)) assert.equal(full.length, PACKET_BYTES)
      assert.deepEqual(assemble(packets), message)
    })
  }

  test('a message in two parts makes the packets of one', () => {
    const into = new Uint8Array(PACKET_BYTES)
    for (const [head, body] of [
      [0, 10],
      [10, 0],
      [9, CHUNK_BYTES],
      [CHUNK_BYTES, 5],
      [CHUNK_BYTES + 7, CHUNK_BYTES],
      [3, 3 * CHUNK_BYTES],
    ] as const) {
      const parts = { head: pattern(head), body: pattern(body, 99) }
      for (const [index, expected] of packetsOf(Buffer.concat([parts.head, parts.body])).entries()) {
        const length = writePacket(parts, index, into)
        assert.ok(Buffer.from(expected).equals(into.subarray(0, length)), `${head} + ${body}, packet ${index}`)
      }
    }
  })

  test('a packet inside other bytes is read where it lies, and may be overwritten afterwards', () => {
    const [only] = packetsOf(pattern(10)) as [Uint8Array]
    const around = new Uint8Array(100).fill(0xee)
    around.set(only, 30)
    const message = new Assembler().push(around, 30, 30 + only.length)
    around.fill(0xdd)
    assert.deepEqual(message, pattern(10))
  })

  test('headers hold 64 and 32 bits', () => {
    const bytes = new Uint8Array(HEADER_BYTES)
    const header = { totalBytes: 2 ** 40 + 5, chunkBytes: 2 ** 33 + 7, index: 0xfffffffe, count: 0xffffffff }
    writeHeader(bytes, header)
    assert.deepEqual(readHeader(bytes, 0), header)
  })
})

describe('faults', () => {
  const begun = (): Assembler => {
    const assembler = new Assembler(1000)
    const first = packet({ totalBytes: 20, index: 0, count: 3 }, 10)
    assert.equal(assembler.push(first, 0, first.length), undefined)
    return assembler
  }
  const cases: readonly (readonly [string, () => Assembler, Uint8Array, 'answer' | 'silent'])[] = [
    ['no room for a header', () => new Assembler(), new Uint8Array(23), 'silent'],
    ['an empty packet', () => new Assembler(), new Uint8Array(0), 'silent'],
    ['no chunks', () => new Assembler(), packet({ count: 0 }), 'answer'],
    ['an index beyond the number', () => new Assembler(), packet({ index: 2, count: 2 }), 'answer'],
    ['not the first', () => new Assembler(), packet({ index: 1, count: 3 }), 'silent'],
    ['more than came', () => new Assembler(), packet({ totalBytes: 11, chunkBytes: 11 }, 10), 'answer'],
    ['far more than came', () => new Assembler(), packet({ totalBytes: 2 ** 62, chunkBytes: 2 ** 62 }, 10), 'answer'],
    ['a larger total in one chunk', () => new Assembler(), packet({ totalBytes: 11 }, 10), 'silent'],
    ['a smaller total', () => new Assembler(), packet({ totalBytes: 9 }, 10), 'silent'],
    ['a total over the cap', () => new Assembler(100), packet({ totalBytes: 101, count: 2 }, 10), 'answer'],
    ['all in the first of two', () => new Assembler(), packet({ totalBytes: 10, count: 2 }, 10), 'silent'],
    [
      'nothing in the first of two',
      () => new Assembler(),
      packet({ totalBytes: 10, chunkBytes: 0, count: 2 }),
      'silent',
    ],
    ['nothing, in two', () => new Assembler(), packet({ totalBytes: 0, count: 2 }), 'silent'],
    ['the first again', begun, packet({ totalBytes: 20, index: 0, count: 3 }, 5), 'silent'],
    ['one left out', begun, packet({ totalBytes: 20, index: 2, count: 3 }, 10), 'silent'],
    ['another number', begun, packet({ totalBytes: 20, index: 1, count: 4 }, 5), 'answer'],
    ['another total', begun, packet({ totalBytes: 21, index: 1, count: 3 }, 5), 'silent'],
    ['all before the last', begun, packet({ totalBytes: 20, index: 1, count: 3 }, 10), 'silent'],
    ['an empty one in between', begun, packet({ totalBytes: 20, chunkBytes: 0, index: 1, count: 3 }), 'silent'],
  ]
  for (const [title, make, bytes, kind] of cases) {
    test(`${title}: ${kind}`, () => assert.equal(fault(make(), bytes).kind, kind))
  }

  test('over the cap is TOO_LARGE, exactly at it is taken', () => {
    assert.equal(fault(new Assembler(9), packet({}, 10)).code, 'TOO_LARGE')
    assert.equal(assemble([packet({}, 10)], new Assembler(10))?.length, 10)
    assert.equal(
      fault(new Assembler(2 * CHUNK_BYTES), packetsOf(pattern(2 * CHUNK_BYTES + 1))[0] as Uint8Array).code,
      'TOO_LARGE',
    )
    assert.equal(assemble(packetsOf(pattern(2 * CHUNK_BYTES)), new Assembler(2 * CHUNK_BYTES))?.length, 2 * CHUNK_BYTES)
  })

  test('nothing is set aside for what is only announced', () => {
    const assembler = new Assembler(64 << 20)
    const first = packet({ totalBytes: 64 << 20, count: 1 << 20 }, 10)
    assembler.push(first, 0, first.length)
    assert.ok(assembler.pendingBytes <= 1 << 20, `${assembler.pendingBytes} bytes for 10`)
    assert.equal(assembler.idle, false)
  })
})

describe('fuzz', () => {
  test('any bytes: a message of what arrived, nothing, or a fault; never more memory than the cap', () => {
    const cap = 4096
    const packets = fc.array(
      fc.oneof(
        fc.uint8Array({ maxLength: 100 }),
        fc
          .record({
            totalBytes: fc.oneof(fc.nat(200), fc.constantFrom(2 ** 32 - 1, 2 ** 32, 2 ** 53, cap, cap + 1)),
            chunkBytes: fc.oneof(fc.nat(200), fc.constantFrom(2 ** 32 - 1, 2 ** 32 + 3, 2 ** 53)),
            index: fc.oneof(fc.nat(3), fc.constant(2 ** 32 - 1)),
            count: fc.oneof(fc.nat(4), fc.constant(2 ** 32 - 1)),
            data: fc.nat(200),
          })
          .map(({ data, ...header }) => packet(header, data)),
      ),
      { maxLength: 12 },
    )
    fc.assert(
      fc.property(packets, (all) => {
        let assembler = new Assembler(cap)
        let arrived = 0
        for (const bytes of all) {
          arrived += bytes.length
          try {
            const message = assembler.push(bytes, 0, bytes.length)
            if (message === undefined) assert.equal(assembler.idle, false)
            else assert.ok(message.length <= arrived && message.length <= cap)
          } catch (error) {
            assert.ok(error instanceof ChunkFault, String(error))
            assembler = new Assembler(cap)
            arrived = 0
          }
          assert.ok(assembler.pendingBytes <= cap)
        }
      }),
      { numRuns: 5000 },
    )
  })

  test('any split of a message that names its parts truly gives it back', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 2000 }),
        fc.array(fc.nat(100), { maxLength: 8 }),
        (message, cuts) => {
          const at = [...new Set(cuts.map((cut) => cut % message.length))]
            .filter((cut) => cut > 0)
            .sort((a, b) => a - b)
          const bounds = [0, ...at, message.length]
          const count = bounds.length - 1
          const packets = bounds.slice(0, -1).map((start, index) => {
            const part = message.subarray(start, bounds[index + 1])
            // Bytes behind the chunk are ignored.
            const bytes = packet(
              { totalBytes: message.length, chunkBytes: part.length, index, count },
              part.length + (index % 3),
            )
            bytes.set(part, HEADER_BYTES)
            return bytes
          })
          assert.deepEqual(Buffer.from(assemble(packets) ?? []), Buffer.from(message))
        },
      ),
    )
  })
})

test('a first chunk of one byte sets one byte aside, whatever it announces', () => {
  const assembler = new Assembler()
  const bytes = packet({ totalBytes: 32 * 1024 * 1024, chunkBytes: 1, count: 1000 }, 1)
  assert.equal(assembler.push(bytes, 0, bytes.length), undefined)
  assert.equal(assembler.pendingBytes, 1)
})
