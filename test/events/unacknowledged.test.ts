import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Unacknowledged } from '../../src/events/unacknowledged.ts'

test('it is a map of rising numbers, whatever is taken in which order', () => {
  const step = fc.oneof(fc.constant('add' as const), fc.record({ take: fc.nat(40) }))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300, size: 'max' }), fc.constantFrom(0, 2 ** 32 - 20), (steps, base) => {
      const ring = new Unacknowledged<{ readonly number: number }>()
      const model = new Map<number, { readonly number: number }>()
      let last = base
      for (const one of steps) {
        if (one === 'add') {
          const entry = { number: ++last }
          ring.add(entry)
          model.set(last, entry)
        } else {
          const number = last - one.take
          assert.equal(ring.take(number), model.get(number))
          model.delete(number)
        }
        assert.equal(ring.size, model.size)
        assert.deepEqual(ring.all(), [...model.values()])
      }
    }),
  )
})
