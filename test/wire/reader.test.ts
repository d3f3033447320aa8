import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { FLAG, KIND, type Frame } from '../../src/wire/frame.ts'
import { HEADER_BYTES, MAX_FRAGMENT_BYTES, MAX_NAME_BYTES } from '../../src/wire/limits.ts'
import { FrameReader } from '../../src/wire/reader.ts'
import {
  anyFields,
  anyRawFields,
  encode,
  fields,
  frameOf,
  header,
  randomOf,
  throwsCode,
  type Fields,
} from './support.ts'

const LONGEST_FRAME = HEADER_BYTES + MAX_NAME_BYTES + MAX_FRAGMENT_BYTES

/** Reads in chunks of the given lengths, each in a buffer that is overwritten afterwards. */
function read(bytes: Uint8Array, lengths: () => number): { seen: Fields[]; mostHeld: number } {
  const seen: Fields[] = []
  const reader = new FrameReader((frame) => seen.push(fields(frame)))
  let mostHeld = 0
  for (let at = 0; at < bytes.length;) {
    const length = Math.min(lengths(), bytes.length - at)
    const chunk = new Uint8Array(length + 5).fill(0xee)
    chunk.set(bytes.subarray(at, at + length), 2)
    reader.push(chunk, 2, 2 + length)
    chunk.fill(0xdd)
    mostHeld = Math.max(mostHeld, reader.heldBytes)
    at += length
  }
  assert.equal(reader.heldBytes, 0)
  return { seen, mostHeld }
}

/** Bytes that `work` allocates outside the heap. */
function allocated(work: () => void): number {
  const before = process.memoryUsage().arrayBuffers
  work()
  return process.memoryUsage().arrayBuffers - before
}

describe('FrameReader', () => {
  it('gives the same frames for any fragmentation', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(anyFields, anyRawFields), { maxLength: 20 }),
        fc.integer(),
        fc.constantFrom(1, 2, 39, 40, 41, 500, 5000),
        (list, seed, most) => {
          const random = randomOf(seed)
          const frames = list.filter(({ kind }) => kind !== KIND.CHUNK).map(frameOf)
          for (const frame of frames) frame.flags &= ~FLAG.MORE
          const { seen } = read(encode(...frames), () => 1 + Math.floor(random() * most))
          assert.deepEqual(seen, frames.map(fields))
        },
      ),
    )
  })

  it('hands a fragment that is cut over in parts, as CHUNK frames of its transfer, and holds nothing of its body', () => {
    fc.assert(
      fc.property(
        fc.array(anyRawFields, { maxLength: 20 }),
        fc.integer(),
        fc.constantFrom(1, 2, 39, 40, 41, 500, 5000),
        (list, seed, most) => {
          const random = randomOf(seed)
          const frames = list.map((of, transfer) => {
            const frame = frameOf({ ...of, transfer })
            if (frame.kind !== KIND.CHUNK) frame.flags |= FLAG.MORE
            return frame
          })
          const { seen, mostHeld } = read(encode(...frames), () => 1 + Math.floor(random() * most))
          const parts = Map.groupBy(seen, ({ transfer }) => transfer)
          assert.equal(parts.size, frames.length)
          for (const [transfer, frame] of frames.entries()) {
            const [first, ...others] = parts.get(transfer)!
            const last = others.at(-1) ?? first!
            const ends = FLAG.MORE | FLAG.ABORTED
            assert.equal(last.flags & ends, frame.flags & ends)
            for (const part of [first!, ...others].slice(0, -1)) assert.equal(part.flags & ends, FLAG.MORE)
            for (const { kind } of others) assert.equal(kind, KIND.CHUNK)
            const { body, flags, ...head } = fields(frame)
            assert.deepEqual(
              { ...first, flags: first!.flags & ~ends, body: '' },
              { ...head, flags: flags & ~ends, body: '' },
            )
            assert.equal([first!, ...others].map((part) => part.body).join(''), body)
          }
          assert.ok(mostHeld < HEADER_BYTES + MAX_NAME_BYTES)
        },
      ),
    )
  })

  it('byte by byte, and never holds more than one frame', () => {
    const big = frameOf({ kind: KIND.EVENT, name: 'n'.repeat(MAX_NAME_BYTES), body: 'b'.repeat(MAX_FRAGMENT_BYTES) })
    const small = frameOf({ kind: KIND.PING, number: 1 })
    const { seen, mostHeld } = read(encode(small, big, small), () => 1)
    assert.equal(seen.length, 3)
    assert.equal(mostHeld, LONGEST_FRAME - 1)
  })

  it('parses whole frames where they lie', () => {
    const bytes = encode(frameOf({ kind: KIND.EVENT, body: '1' }), frameOf({ kind: KIND.EVENT, body: '2' }))
    const buffers: Uint8Array[] = []
    new FrameReader((frame) => buffers.push(frame.bytes)).push(bytes, 0, bytes.length)
    assert.ok(buffers.length === 2 && buffers.every((buffer) => buffer === bytes))
  })

  it('refuses every kind it does not know, at its first byte', () => {
    const known = new Set<number>(Object.values(KIND))
    for (let kind = 0; kind < 256; kind++) {
      const reader = new FrameReader(() => {})
      const push = (): void => reader.push(Uint8Array.of(kind), 0, 1)
      if (known.has(kind)) push()
      else assert.match(throwsCode(push, 'PROTOCOL').message, new RegExp(`0x${kind.toString(16)},`))
    }
  })

  it('MAX_NAME_BYTES and MAX_FRAGMENT_BYTES pass; one byte more is refused before room is made for it', () => {
    const work = (of: { name?: number; body?: number }): void => {
      const bytes = header({ kind: KIND.EVENT, ...of })
      // In two pieces, since a frame that is cut is what memory is taken for.
      const reader = new FrameReader(() => {})
      reader.push(bytes, 0, 20)
      reader.push(bytes, 20, HEADER_BYTES)
    }
    work({ name: MAX_NAME_BYTES, body: MAX_FRAGMENT_BYTES })
    throwsCode(() => work({ name: MAX_NAME_BYTES + 1 }), 'TOO_LARGE')
    throwsCode(() => work({ body: MAX_FRAGMENT_BYTES + 1 }), 'TOO_LARGE')
    const taken = allocated(() => {
      for (let i = 0; i < 20; i++) throwsCode(() => work({ body: 0xffffffff }), 'TOO_LARGE')
    })
    assert.ok(taken < 1024 * 1024, `${taken} bytes`)
  })

  it('a name whose bytes would be a longer text is refused, one of as many bytes of text is not', () => {
    const push = (name: Uint8Array): void => {
      const bytes = new Uint8Array(HEADER_BYTES + name.length)
      bytes.set(header({ kind: KIND.EVENT, name: name.length }))
      bytes.set(name, HEADER_BYTES)
      new FrameReader(() => {}).push(bytes, 0, bytes.length)
    }
    push(Buffer.from('\u00e9'.repeat(MAX_NAME_BYTES / 2)))
    for (const length of [342, MAX_NAME_BYTES]) throwsCode(() => push(new Uint8Array(length).fill(0xff)), 'PROTOCOL')
  })

  it('a header makes the reader hold its frame, no more', () => {
    const readers: FrameReader[] = []
    const taken = allocated(() => {
      for (let i = 0; i < 16; i++) {
        const reader = new FrameReader(() => {})
        reader.push(header({ kind: KIND.EVENT, body: MAX_FRAGMENT_BYTES }), 0, HEADER_BYTES)
        readers.push(reader)
      }
    })
    assert.ok(taken <= 16 * (LONGEST_FRAME + 1024), `${taken} bytes`)
    assert.ok(readers.every((reader) => reader.heldBytes === HEADER_BYTES))
  })

  it('refuses a number or a time that is none', () => {
    for (const [offset, value] of [
      [24, NaN],
      [24, -1],
      [24, Infinity],
      [24, 2 ** 53],
      [32, NaN],
    ] as const) {
      const bytes = header({ kind: KIND.PUBLISH })
      new DataView(bytes.buffer).setFloat64(offset, value, true)
      throwsCode(() => new FrameReader(() => assert.fail('was handed on')).push(bytes, 0, bytes.length), 'PROTOCOL')
    }
  })

  it('passes on what its consumer throws', () => {
    const bytes = encode(frameOf({ kind: KIND.PING }))
    const fault = new Error('of the consumer')
    const reader = new FrameReader(() => {
      throw fault
    })
    assert.throws(() => reader.push(bytes, 0, bytes.length), fault)
  })

  it('fuzz: changed bytes end in frames or in PROTOCOL and TOO_LARGE, with bounded memory', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(anyFields, anyRawFields), { minLength: 1, maxLength: 10 }),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 8 }),
        fc.integer(),
        (list, changes, seed) => {
          const bytes = encode(...list.map(frameOf))
          for (const [at, value] of changes) bytes[at % bytes.length] = value
          const random = randomOf(seed)
          const look = (frame: Frame): void => void fields(frame)
          const reader = new FrameReader(look)
          try {
            for (let at = 0; at < bytes.length;) {
              const end = Math.min(bytes.length, at + 1 + Math.floor(random() * 100))
              reader.push(bytes, at, end)
              assert.ok(reader.heldBytes < LONGEST_FRAME)
              at = end
            }
          } catch (error) {
            throwsCode(
              () => {
                throw error
              },
              'PROTOCOL',
              'TOO_LARGE',
            )
          }
        },
      ),
      { numRuns: 500 },
    )
  })
})
