// limit: 300 s
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { failover } from './plans/failover.ts'
import { checkRounds } from './short.ts'

test('failover: nothing acknowledged is lost or done twice, and every gap is told exactly', async () => {
  const { figures } = await checkRounds(failover, { seed: 7, rounds: 3 })
  assert.ok(
    figures['published']! > 10 && figures['answered']! > 10 && figures['written']! > 10,
    JSON.stringify(figures),
  )
})
