import assert from 'node:assert/strict'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join as path } from 'node:path'
import { test } from 'node:test'
import { join } from 'conclave'
import { defer, spawnProgram, stateOf, until, workspace } from '../support/index.ts'
import { own } from '../process/support.ts'

test('a second descriptor on the lock, opened and closed in the process that holds it, takes nothing away', async (t) => {
  const folder = workspace(t)
  const first = await own(t, folder)
  const lock = path(folder, '.conclave', 'lock')
  for (const flags of ['r', 'r+', 'a']) closeSync(openSync(lock, flags))
  readFileSync(lock)
  // POSIX record locks would be gone now; flock(2) belongs to the open file description.
  const second = await own(t, folder)
  assert.deepEqual([first.role, second.role], ['primary', 'secondary'])
  await assert.rejects(join(folder, { primary: 'must' }), { code: 'PRIMARY_EXISTS' })
})

for (const how of ['spawn', 'fork', 'detached']) {
  test(`a child of the primary (${how}) that outlives it does not keep the lock`, async (t) => {
    const folder = workspace(t)
    const program = spawnProgram(t, path(import.meta.dirname, 'programs', 'parent.ts'), [folder, how])
    const { role, child } = await program.ready<{ role: string; child: number }>()
    defer(t, async () => {
      process.kill(child, 'SIGKILL')
      await until(() => ['', 'Z'].includes(stateOf(child)), 'the child to be gone')
    })
    assert.equal(role, 'primary')
    const second = await own(t, folder)
    assert.equal(second.role, 'secondary')
    await program.kill('SIGKILL')
    await until(() => second.role === 'primary', 'the survivor to take over')
    assert.match(stateOf(child), /^[RSD]/, 'the child lives on')
  })
}
