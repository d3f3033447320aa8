import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Grace } from '../../../src/engine/local/grace.ts'

interface Scene {
  readonly grace: Grace
  /** Whether it lasts, and how often it ended by now. */
  readonly state: () => readonly [lasts: boolean, over: number]
}

function scene(t: TestContext): Scene {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let over = 0
  const grace = new Grace(() => over++)
  return { grace, state: () => [grace.lasts, over] }
}

test('B14: the grace lasts its whole time from when it began last', (t) => {
  const { grace, state } = scene(t)
  const { timers } = t.mock
  assert.deepEqual(state(), [false, 0])
  grace.begin(500)
  timers.tick(400)
  grace.begin(500)
  timers.tick(499)
  assert.deepEqual(state(), [true, 0])
  timers.tick(1)
  assert.deepEqual(state(), [false, 1])
  grace.begin(500)
  grace.end()
  assert.deepEqual(state(), [false, 2])
  for (const ms of [500, 0]) {
    grace.begin(ms)
    if (ms > 0) grace.stop()
    timers.tick(1000)
    assert.deepEqual(state(), [false, 2])
  }
})

test('B1, B14: a process that stood still waits for most of the grace all the same', async () => {
  let over = 0
  const grace = new Grace(() => over++)
  grace.begin(50)
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
  // The turn in which timers that are due have run.
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  assert.deepEqual([grace.lasts, over], [true, 0])
  grace.stop()
})
