import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Grace } from '../../../src/engine/local/grace.ts'

test('B14: the grace lasts its whole time from when it began last', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let now = 0
  let over = 0
  const pass = (ms: number): void => {
    now += ms
    t.mock.timers.tick(ms)
  }
  const grace = new Grace(
    () => now,
    () => over++,
  )
  assert.equal(grace.lasts, false)
  grace.begin(500)
  pass(400)
  grace.begin(500)
  pass(400)
  assert.deepEqual([grace.lasts, over], [true, 0])
  pass(100)
  assert.deepEqual([grace.lasts, over], [false, 1])
  grace.begin(500)
  grace.end()
  assert.deepEqual([grace.lasts, over], [false, 2])
  grace.begin(500)
  grace.stop()
  pass(1000)
  assert.deepEqual([grace.lasts, over], [false, 2])
})
