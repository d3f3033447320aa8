// limit: 300 s
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { events } from './plans/events.ts'
import { slow, type SlowPlan } from './plans/slow.ts'
import { checkRounds } from './short.ts'

test('events: every subscriber has all, in one order, or a gap that counts what it lost', async () => {
  const { figures } = await checkRounds(events, { seed: 7, rounds: 3 })
  assert.ok(figures['seen']! > 10, JSON.stringify(figures))
})

test('slow: one stopped and nine that read: flat memory, nothing lost to the nine, exact drop counters', async () => {
  const small = {
    ...slow,
    plan: (): SlowPlan => ({
      batches: 8,
      perBatch: 500,
      bytes: 1000,
      publisherIsPrimary: false,
      overflow: 'drop-oldest',
      maxQueued: 100,
    }),
  }
  const { figures } = await checkRounds(small, { seed: 7, rounds: 1 })
  assert.ok(figures['drops']! > 100, JSON.stringify(figures))
})
