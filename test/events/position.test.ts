import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { MAX_TERM } from '../../src/election/index.ts'
import { LAST_NUMBER, numberOf, seqOf, termOf } from '../../src/events/position.ts'

test('A12 a seq is a safe integer that rises with the term first, and gives both back', () => {
  const position = fc.tuple(fc.integer({ min: 1, max: MAX_TERM }), fc.integer({ min: 0, max: LAST_NUMBER }))
  fc.assert(
    fc.property(position, position, ([term, number], [other, at]) => {
      const seq = seqOf(term, number)
      assert.ok(Number.isSafeInteger(seq))
      assert.deepEqual([termOf(seq), numberOf(seq)], [term, number])
      const order = Math.sign(term - other || number - at)
      assert.equal(Math.sign(seq - seqOf(other, at)), order)
    }),
  )
})
