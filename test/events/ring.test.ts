import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ConclaveError } from '../../src/errors/index.ts'
import { ReplayRing } from '../../src/events/ring.ts'

interface Entry {
  readonly seq: number
  readonly bytes: number
}

/** The longest end of everything pushed that keeps both bounds. */
function kept(all: readonly Entry[], maxCount: number, maxBytes: number): readonly Entry[] {
  let bytes = 0
  let from = all.length
  for (; from > 0 && all.length - from < maxCount; from--) {
    bytes += all[from - 1]?.bytes ?? 0
    if (bytes > maxBytes) break
  }
  return all.slice(from)
}

describe('ReplayRing', () => {
  it('holds the longest end of what was pushed that keeps both bounds', () => {
    const pushes = fc.array(fc.record({ step: fc.integer({ min: 1, max: 3 }), bytes: fc.nat(12) }), {
      maxLength: 80,
      size: 'max',
    })
    fc.assert(
      fc.property(pushes, fc.nat(40), fc.nat(60), fc.nat(10), (list, maxCount, maxBytes, base) => {
        const ring = new ReplayRing<Entry>({ maxCount, maxBytes, base })
        const all: Entry[] = []
        // What is held may be less than the bound allows after a large entry, so the model is kept step by step.
        let held: readonly Entry[] = []
        let seq = base
        for (const { step, bytes } of list) {
          seq += step
          const entry = { seq, bytes }
          ring.push(entry)
          all.push(entry)
          held = kept([...held, entry], maxCount, maxBytes)
          const gone = all.slice(0, all.length - held.length)
          const total = (entries: readonly Entry[]): number => entries.reduce((sum, e) => sum + e.bytes, 0)
          assert.equal(ring.size, held.length)
          assert.equal(ring.bytes, total(held))
          assert.equal(ring.earliest, held[0])
          assert.equal(ring.latest, held.at(-1))
          assert.equal(ring.latestSeq, seq)
          assert.equal(ring.evictedCount, gone.length)
          assert.equal(ring.evictedBytes, total(gone))
          for (let from = base - 1; from <= seq + 1; from++) {
            const { entries, complete } = ring.after(from)
            assert.deepEqual(
              entries,
              held.filter((e) => e.seq > from),
            )
            assert.equal(complete, from >= base && gone.every((e) => e.seq <= from))
          }
          const even = (e: Entry): boolean => e.seq % 2 === 0
          for (const n of [0, 1, 5, 1000]) {
            const wanted = n === 0 ? [] : held.filter(even).slice(-n)
            const last = ring.last(n, even)
            assert.deepEqual(last.entries, wanted)
            assert.equal(last.complete, wanted.length === n || gone.length === 0)
          }
        }
      }),
      { numRuns: 200 },
    )
  })

  it('gives portions that join without a hole', () => {
    const ring = new ReplayRing<Entry>({ maxCount: 100 })
    for (let seq = 1; seq <= 250; seq++) ring.push({ seq, bytes: 1 })
    const seen: number[] = []
    for (let at = 150; ; at = seen.at(-1) ?? 0) {
      const { entries, complete } = ring.after(at, 7)
      assert.equal(complete, true)
      if (entries.length === 0) break
      seen.push(...entries.map((e) => e.seq))
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 100 }, (_, i) => 151 + i),
    )
    assert.equal(ring.after(149).complete, false)
  })

  it('keeps nothing before an entry that is too large, nor that entry', () => {
    const ring = new ReplayRing<Entry>({ maxBytes: 10 })
    ring.push({ seq: 1, bytes: 4 })
    ring.push({ seq: 2, bytes: 11 })
    assert.deepEqual(ring.after(0), { entries: [], complete: false })
    assert.deepEqual(ring.after(2), { entries: [], complete: true })
    ring.push({ seq: 3, bytes: 10 })
    assert.deepEqual(ring.after(1), { entries: [{ seq: 3, bytes: 10 }], complete: false })
  })

  it('does not know what came before its base', () => {
    const ring = new ReplayRing<Entry>({ base: 100 })
    assert.equal(ring.after(99).complete, false)
    assert.equal(ring.after(100).complete, true)
  })

  it('refuses a seq that does not rise', () => {
    const ring = new ReplayRing<Entry>()
    ring.push({ seq: 2, bytes: 0 })
    for (const seq of [2, 1, Number.NaN]) {
      assert.throws(
        () => ring.push({ seq, bytes: 0 }),
        (error) => ConclaveError.is(error, 'INTERNAL'),
      )
    }
  })
})
