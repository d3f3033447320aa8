import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { KeptBytes } from '../../src/transport/kept.ts'
import { KEPT_LONG_PIECE_BYTES, KEPT_PIECE_BYTES, SPARE_PIECES } from '../../src/transport/limits.ts'

const bytesOf = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, n) => (n * 7 + seed) % 251)

describe('KeptBytes', () => {
  it('gives back all bytes in order, of any lengths, also from pieces that were used before', () => {
    const kept = new KeptBytes()
    const lengths = [
      1,
      KEPT_PIECE_BYTES,
      10,
      KEPT_PIECE_BYTES + 1,
      KEPT_LONG_PIECE_BYTES,
      5,
      2 * KEPT_LONG_PIECE_BYTES,
      9,
    ]
    for (let round = 0; round < 3; round++) {
      const expected = lengths.map((length, n) => bytesOf(length, round + n))
      const took: Uint8Array[] = []
      for (const bytes of expected) kept.add(bytes, 0, bytes.length)
      assert.equal(kept.size, Buffer.concat(expected).length)
      let room = 1
      while (kept.size > 0) {
        kept.drain((bytes, start, end) => {
          const taken = Math.min(end - start, room)
          took.push(bytes.slice(start, start + taken))
          return taken
        })
        room = (room * 3) % 50_000
      }
      assert.ok(Buffer.concat(took).equals(Buffer.concat(expected)))
    }
  })

  it('KEPT_LONG_PIECE_BYTES, SPARE_PIECES: long pieces serve again, and so many are kept', () => {
    const seen = new Set<ArrayBufferLike>()
    const long = new Uint8Array(KEPT_LONG_PIECE_BYTES)
    const fill = (kept: KeptBytes, pieces: number): void => {
      for (let n = 0; n < pieces; n++) kept.add(long, 0, long.length)
    }
    const drain = (kept: KeptBytes): number[] => {
      const lengths: number[] = []
      kept.drain((bytes, start, end) => {
        seen.add(bytes.buffer)
        lengths.push(bytes.length)
        return end - start
      })
      return lengths
    }
    const kept = new KeptBytes()
    fill(kept, SPARE_PIECES + 3)
    assert.deepEqual(new Set(drain(kept)), new Set([KEPT_LONG_PIECE_BYTES]))
    const before = new Set(seen)
    seen.clear()
    fill(kept, SPARE_PIECES + 3)
    drain(kept)
    assert.equal(seen.intersection(before).size, SPARE_PIECES)
    // What is dropped serves again too.
    fill(kept, 1)
    kept.clear()
    assert.equal(kept.size, 0)
  })
})
