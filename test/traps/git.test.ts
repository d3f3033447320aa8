import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join as path } from 'node:path'
import { test } from 'node:test'
import { execute, requireProgram, workspace, type Executed, type Scope } from '../support/index.ts'
import { ask, member, own, status } from '../process/support.ts'

async function git(t: Scope, cwd: string, ...args: string[]): Promise<Executed> {
  const env = {
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_SYSTEM: '/dev/null',
    GIT_CEILING_DIRECTORIES: path(cwd, '..'),
  }
  const run = await execute(t, 'git', args, { cwd, env })
  assert.equal(run.code, 0, run.stderr)
  return run
}

test('git clean -fdx under a running system: it ends with a reason, and the next one begins anew', async (t) => {
  if (!requireProgram(t, 'git')) return
  const folder = workspace(t)
  await git(t, folder, 'init', '--quiet')
  const primary = await member(t, folder, { name: 'primary' })
  const seconds = [await member(t, folder, { name: 'second' }), await member(t, folder, { name: 'third' })]

  assert.equal((await git(t, folder, 'status', '--porcelain', '--untracked-files=all')).stdout, '', 'git sees nothing')
  await git(t, folder, 'clean', '-fd')
  assert.ok(existsSync(path(folder, '.conclave', 'lock')), 'a clean that spares ignored files spares us')

  const members = [primary, ...seconds]
  for (const each of members) each.send({ load: 'events' })
  await git(t, folder, 'clean', '-fdx')
  assert.ok(!existsSync(path(folder, '.conclave', 'lock')))
  for (const each of members) {
    assert.equal((await each.next<{ reason: string }>(status('closed'))).reason, 'workspace-gone')
    assert.equal((await ask(each, { call: 'echo' }))['code'], 'WORKSPACE_MOVED')
    each.send({ stop: true })
  }
  assert.ok(primary.messages.some((message) => message['code'] === 'LOCK_LOST'))
  const next = await own(t, folder)
  assert.equal(next.role, 'primary')
  assert.equal((await next.inspect()).members.length, 1)
})
