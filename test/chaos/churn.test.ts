// limit: 300 s
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { churn, type ChurnPlan } from './plans/churn.ts'
import { soak } from './plans/soak.ts'
import { checkRounds } from './short.ts'

test('churn: those who came and went leave nothing behind', async () => {
  const small = {
    ...churn,
    crew: () => 4,
    plan: (): ChurnPlan => ({ comers: 2, warmUp: 15, visits: 25, how: 'close', subscribes: true, publishes: true }),
  }
  const { figures } = await checkRounds(small, { seed: 7, rounds: 1 })
  assert.equal(figures['visits'], 80)
})

test('soak: everything mixed, for a moment', async () => {
  const { figures } = await checkRounds({ ...soak, crew: () => 8 }, { seed: 7, rounds: 1, minutes: 0.05 })
  assert.ok(figures['rounds']! >= 1, JSON.stringify(figures))
})
