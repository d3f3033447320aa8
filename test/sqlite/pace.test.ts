import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { GATHER_MS } from '../../src/sqlite/limits.ts'
import { Pace } from '../../src/sqlite/pace.ts'

/** A pace on a clock that stands unless the test moves it. */
function pace(t: TestContext): { pace: Pace; pass: (ms: number) => void; ends: () => number } {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let now = 0
  let ends = 0
  const made = new Pace(
    () => now,
    () => ends++,
  )
  return {
    pace: made,
    pass: (ms) => {
      now += ms
      t.mock.timers.tick(ms)
    },
    ends: () => ends,
  }
}

/** Both have written, were answered together, and wrote again at once. */
function inTurn(made: Pace, members: readonly string[]): void {
  for (let round = 0; round < 2; round++) {
    for (const member of members) made.arrived(member)
    made.answered(new Set(members))
  }
}

test('one that writes alone never waits', (t) => {
  const { pace: made } = pace(t)
  for (let n = 0; n < 5; n++) {
    made.arrived('a')
    assert.equal(made.waits, false)
    made.answered(new Set(['a']))
  }
})

test('GATHER_MS: a group waits for who was quick to write again, until all have come', (t) => {
  const { pace: made, pass } = pace(t)
  inTurn(made, ['a', 'b', 'c'])
  made.arrived('a')
  assert.equal(made.waits, true)
  pass(GATHER_MS / 2)
  made.arrived('c')
  assert.equal(made.waits, true)
  made.arrived('b')
  assert.equal(made.waits, false)
})

test('GATHER_MS: who does not come is waited for once, and again when it was quick once more', (t) => {
  const { pace: made, pass, ends } = pace(t)
  inTurn(made, ['a', 'b'])
  made.arrived('a')
  assert.equal(made.waits, true)
  pass(GATHER_MS)
  assert.equal(ends(), 1)
  assert.equal(made.waits, false)
  made.answered(new Set(['a']))
  made.arrived('a')
  assert.equal(made.waits, false)
  made.answered(new Set(['a']))
  // Late: not quick yet.
  made.arrived('b')
  made.arrived('a')
  made.answered(new Set(['a', 'b']))
  made.arrived('a')
  assert.equal(made.waits, false)
  made.arrived('b')
  made.answered(new Set(['a', 'b']))
  made.arrived('a')
  assert.equal(made.waits, true)
})

test('a member that left is not waited for', (t) => {
  const { pace: made } = pace(t)
  inTurn(made, ['a', 'b'])
  made.arrived('a')
  assert.equal(made.waits, true)
  made.left('b')
  assert.equal(made.waits, false)
})
