import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join as path } from 'node:path'
import { test } from 'node:test'
import type { Announcement } from '../../src/election/index.ts'
import { spawnProgram, workspace } from '../support/index.ts'
import { member, own } from '../process/support.ts'

function announced(folder: string): [file: string, announcement: Announcement] {
  const file = path(folder, '.conclave', 'primary.json')
  return [file, JSON.parse(readFileSync(file, 'utf8')) as Announcement]
}

test('a dead primary whose pid was given to another process keeps nobody from the seat', async (t) => {
  const folder = workspace(t)
  const dead = await member(t, folder)
  await dead.kill('SIGKILL')
  const other = spawnProgram(t, 'echo')
  await other.ready()
  const [file, announcement] = announced(folder)
  for (const [term, pid] of [other.pid, process.pid, 1].entries()) {
    writeFileSync(file, JSON.stringify({ ...announced(folder)[1], state: 'serving', pid }))
    const next = await own(t, folder)
    assert.deepEqual([next.role, next.term], ['primary', announcement.term + 1 + term])
    await next.close()
    writeFileSync(file, JSON.stringify({ ...announcement, term: next.term, state: 'serving' }))
  }
  assert.ok(other.running, 'nobody was signalled')
})

test('a living primary is found though its announcement names a pid that is dead, or nobody’s', async (t) => {
  const folder = workspace(t)
  const first = await own(t, folder)
  const gone = await member(t, folder)
  await gone.kill('SIGKILL')
  for (const pid of [gone.pid, 2 ** 22 - 1]) {
    const [file, announcement] = announced(folder)
    writeFileSync(file, JSON.stringify({ ...announcement, pid }))
    const second = await own(t, folder)
    assert.deepEqual([second.role, second.primary?.id], ['secondary', first.id])
    await second.close()
  }
})
