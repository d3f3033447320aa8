import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FairQueue } from '../../src/sqlite/queue.ts'
import { code } from './support.ts'

interface Item {
  readonly line: string
  readonly bytes: number
  readonly count: number
  readonly n: number
}

test('lines are served in turn, each in its order', () => {
  const queue = new FairQueue<Item>()
  for (const line of ['a', 'b']) for (let n = 0; n < 3; n++) queue.add({ line, bytes: 1, count: 1, n })
  queue.add({ line: 'c', bytes: 1, count: 1, n: 0 })
  assert.deepEqual(
    queue.drain().map(({ line, n }) => line + n),
    ['a0', 'b0', 'c0', 'a1', 'b1', 'a2', 'b2'],
  )
})

test('what is put back comes first again, in its order', () => {
  const queue = new FairQueue<Item>()
  for (const line of ['a', 'b']) for (let n = 0; n < 3; n++) queue.add({ line, bytes: 2, count: 1, n })
  const taken = [1, 2, 3].map(() => queue.take()!)
  queue.add({ line: 'c', bytes: 2, count: 1, n: 0 })
  queue.putBack(taken)
  assert.equal(queue.bytes, 14)
  const order = queue.drain().map(({ line, n }) => line + n)
  assert.equal(order[0], 'a0')
  for (const line of ['a', 'b'])
    assert.deepEqual(
      order.filter((item) => item.startsWith(line)),
      [0, 1, 2].map((n) => line + n),
    )
})

test('bounds in count and bytes, for one line and for all', () => {
  const queue = new FairQueue<Item>({ count: 4, bytes: 100, memberCount: 3, memberBytes: 50 })
  queue.add({ line: 'a', bytes: 70, count: 1, n: 0 }) // an empty line takes one of any size
  assert.throws(
    () => queue.add({ line: 'a', bytes: 1, count: 1, n: 1 }),
    code('OVERLOADED', 'not-committed', /this member/),
  )
  assert.throws(() => queue.add({ line: 'b', bytes: 31, count: 1, n: 0 }), code('OVERLOADED'))
  for (let n = 0; n < 3; n++) queue.add({ line: 'b', bytes: 1, count: 1, n })
  assert.throws(
    () => queue.add({ line: 'c', bytes: 0, count: 1, n: 3 }),
    code('OVERLOADED', 'not-committed', /4 writes/),
  )
})

test('counts are right whatever happens', () => {
  const op = fc.oneof(
    fc.record({
      type: fc.constant('add' as const),
      line: fc.constantFrom('a', 'b', 'c'),
      bytes: fc.nat(9),
      count: fc.integer({ min: 1, max: 5 }),
    }),
    fc.record({ type: fc.constantFrom('take' as const, 'back' as const, 'remove' as const) }),
  )
  fc.assert(
    fc.property(fc.array(op, { maxLength: 60 }), (ops) => {
      const queue = new FairQueue<Item>()
      const all: Item[] = []
      let taken: Item[] = []
      let made = 0
      for (const one of ops) {
        if (one.type === 'add') {
          const item = { line: one.line, bytes: one.bytes, count: one.count, n: made++ }
          queue.add(item)
          all.push(item)
        } else if (one.type === 'take') {
          const item = queue.take()
          if (item !== undefined) taken.push(item)
        } else if (one.type === 'back') {
          queue.putBack(taken)
          taken = []
        } else {
          const item = all.find((candidate) => !taken.includes(candidate))
          if (item !== undefined && queue.remove(item)) all.splice(all.indexOf(item), 1)
        }
        const waiting = all.filter((item) => !taken.includes(item))
        assert.equal(
          queue.count,
          waiting.reduce((sum, { count }) => sum + count, 0),
        )
        assert.equal(
          queue.bytes,
          waiting.reduce((sum, { bytes }) => sum + bytes, 0),
        )
      }
      queue.putBack(taken)
      const order = queue.drain()
      for (const line of ['a', 'b', 'c']) {
        const numbers = order.filter((item) => item.line === line).map(({ n }) => n)
        assert.deepEqual(
          numbers,
          [...numbers].sort((x, y) => x - y),
        )
      }
      assert.equal(queue.count, 0)
    }),
  )
})
