// limit: 300 s
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { election } from './plans/election.ts'
import { checkRounds } from './short.ts'

test('election: one primary, whoever dies and whatever happens to the lock', async () => {
  const { figures } = await checkRounds(election, { seed: 7, rounds: 5, processes: 4 })
  assert.ok(figures['elections']! >= 5)
})
