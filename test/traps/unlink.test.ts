import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { test } from 'node:test'
import { endpointOf } from '../engine/local/lines.ts'
import { workspace } from '../support/index.ts'
import { own } from '../process/support.ts'

test('every primary binds a name of its own: the death of one is no harm to the next', async (t) => {
  const folder = workspace(t)
  const seen = new Set<string>()
  let last = await own(t, folder)
  for (let round = 0; round < 5; round++) {
    const endpoint = endpointOf(folder)
    seen.add(endpoint)
    const next = await own(t, folder)
    await last.close()
    await next.call('none').catch(() => {})
    assert.equal(next.role, 'primary')
    assert.ok(!existsSync(endpoint) && existsSync(endpointOf(folder)))
    last = next
  }
  assert.equal(seen.size, 5)
})
