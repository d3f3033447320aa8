import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Grace } from '../../../src/engine/local/grace.ts'

test('B14: the grace lasts its whole time from when it began last', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let over = 0
  const pass = (ms: number): void => t.mock.timers.tick(ms)
  const grace = new Grace(() => over++)
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

test('the grace of a loop that was held up goes on: it has let nobody in', async () => {
  let over = 0
  const grace = new Grace(() => over++)
  grace.begin(50)
  const until = performance.now() + 200
  while (performance.now() < until);
  for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual([grace.lasts, over], [true, 0])
  grace.stop()
})
