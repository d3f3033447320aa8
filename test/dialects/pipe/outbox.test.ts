import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { Outbox } from '../../../src/dialects/pipe/outbox.ts'

describe('Outbox', () => {
  test('order is kept through any number of broken connections, and every message is accounted for', () => {
    const action = fc.oneof(
      fc.constant('add' as const),
      fc.constant('take' as const),
      fc.constant('break' as const),
      fc.integer({ min: 1, max: 5 }),
    )
    const overflow = fc.constantFrom('refuse' as const, 'drop-oldest' as const)
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200 }), overflow, (script, policy) => {
        const box = new Outbox({ size: 8, bytes: 1000, overflow: policy })
        let added = 0
        /** What the receiver has seen on this connection. */
        let seen: number[] = []
        const arrived: number[] = []
        for (const one of script) {
          if (one === 'add') box.add(String(++added), 10)
          else if (one === 'take') seen.push(...box.take().map(Number))
          else if (one === 'break') {
            box.takeBack()
            seen = []
          } else arrived.push(...seen.splice(0, box.confirm(one)))
          assert.ok(box.size <= 8)
        }
        seen.push(...box.take().map(Number))
        arrived.push(...seen.splice(0, box.confirm(1000)))
        assert.ok(arrived.every((n, at) => at === 0 || n > (arrived[at - 1] as number)))
        assert.equal(arrived.length + box.dropped, added)
        assert.equal(box.size, 0)
      }),
      { numRuns: 1000 },
    )
  })

  test('bytes are bounded; one that is longer than all fits alone; what is on the way is not dropped', () => {
    const box = new Outbox({ size: 10, bytes: 100, overflow: 'drop-oldest' })
    assert.equal(box.add('long', 500), true)
    assert.equal(box.add('a', 60), true)
    assert.deepEqual([box.size, box.dropped], [1, 1])
    box.take()
    assert.equal(box.add('b', 60), false)
    assert.deepEqual([box.size, box.onTheWay, box.dropped], [1, 1, 2])
  })
})
