import assert from 'node:assert/strict'
import { renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join as path } from 'node:path'
import { describe, test } from 'node:test'
import { join } from 'conclave'
import { execute, spawnProgram, temporaryDirectory, until, workspace } from '../support/index.ts'
import { ask, inspect, member, own, status } from './support.ts'

describe('a workspace that changes under its members', () => {
  const ways: Record<string, (folder: string) => void> = {
    'rm -rf .conclave': (folder) => rmSync(path(folder, '.conclave'), { recursive: true }),
    'a lock file that is replaced': (folder) => {
      const lock = path(folder, '.conclave', 'lock')
      writeFileSync(`${lock}.new`, '', { mode: 0o600 })
      renameSync(`${lock}.new`, lock)
    },
    'a folder that is moved': (folder) => renameSync(path(folder, '.conclave'), path(folder, 'elsewhere')),
  }
  for (const [way, change] of Object.entries(ways)) {
    test(`A1: ${way}: the primary steps down, all of them close, and nothing is acknowledged after`, async (t) => {
      const folder = workspace(t)
      const primary = await member(t, folder, { name: 'old' })
      const second = await member(t, folder, { name: 'second' })
      await ask(second, { call: 'echo' })
      for (const each of [primary, second]) each.send({ load: 'events' })
      change(folder)
      const next = await own(t, folder, { name: 'new' })
      assert.equal(next.role, 'primary')
      const events = next.subscribe('load')
      for (const each of [primary, second]) {
        const { reason } = await each.next<{ reason: string }>(status('closed'))
        assert.equal(reason, 'workspace-gone')
        const after = each.messages.length
        await ask(each, { call: 'echo' }).then((answer) => assert.equal(answer['code'], 'WORKSPACE_MOVED'))
        each.send({ stop: true })
        await each.next((message) => 'loaded' in message)
        const late = each.messages.slice(after).filter(({ did }) => did === 'acknowledged')
        assert.deepEqual(late, [])
      }
      assert.ok(primary.messages.some((message) => message['code'] === 'LOCK_LOST'))
      assert.equal((await next.inspect()).members.length, 1, 'nobody goes over to the new one by himself')
      await next.publish('load', 'ours')
      assert.equal((await events.next()).value?.data, 'ours')
      assert.equal(((await join(folder, { primary: 'never' })).primary ?? {}).id, next.id)
    })
  }

  test('B4: a copy of the folder is another workspace, though its announcement names the first', async (t) => {
    const folder = workspace(t)
    const first = await member(t, folder)
    const copy = path(temporaryDirectory(t), 'copy')
    assert.equal((await execute(t, 'cp', ['-r', folder, copy])).code, 0)
    await assert.rejects(join(copy, { primary: 'never' }), { code: 'NO_PRIMARY' })
    const second = await own(t, copy)
    assert.equal(second.role, 'primary')
    assert.equal((await inspect(first)).members.length, 1)
  })

  test('B3: by symlink, through /proc, and by the path itself it is one workspace', async (t) => {
    const folder = workspace(t)
    const first = await member(t, folder, {}, { cwd: folder })
    const link = path(temporaryDirectory(t), 'link')
    symlinkSync(folder, link)
    const paths = process.platform === 'linux' ? [link, `/proc/${first.pid}/cwd`, `${folder}/.conclave/..`] : [link]
    for (const each of paths) assert.equal((await member(t, each)).role, 'secondary', each)
    assert.equal((await inspect(first)).members.length, paths.length + 1)
  })
})

describe('A10: who owns the lock', () => {
  for (const how of ['thread', 'cluster']) {
    test(`A10: a ${how} worker that is primary dies alone: the lock is free while its process lives on`, async (t) => {
      const folder = workspace(t)
      const program = spawnProgram(t, 'worker-primary', [folder, how])
      const { role } = await program.ready<{ role: string }>()
      assert.equal(role, 'primary')
      const second = await own(t, folder, { methods: { who: () => 'second' } })
      assert.equal(await second.call('who'), how)
      program.send({})
      await program.next((message) => message['ended'] === true)
      assert.equal(await second.call('who', undefined, { idempotent: true }), 'second')
      assert.deepEqual([second.role, second.term], ['primary', 2])
      assert.ok(program.running)
      program.letGo()
      await until(() => !program.running, 'it to end')
    })
  }
})
