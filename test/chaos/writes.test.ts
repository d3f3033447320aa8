// limit: 300 s
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { writes } from './plans/writes.ts'
import { checkRounds } from './short.ts'

test('writes: each acknowledged one is there once, whoever was killed', async () => {
  const { summary } = await checkRounds(writes, { seed: 7, rounds: 3 })
  const { acknowledged, ...rest } = summary as Record<string, number | string>
  assert.ok((acknowledged as number) > 10, JSON.stringify(summary))
  assert.deepEqual(
    { lost: rest['lost'], duplicated: rest['duplicated'], phantom: rest['phantom'], integrity: rest['integrity'] },
    { lost: 0, duplicated: 0, phantom: 0, integrity: 'ok' },
  )
})
