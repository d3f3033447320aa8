import assert from 'node:assert/strict'
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { posixPlatform } from '../../src/platform/index.ts'
import { lockDatabase } from '../../src/sqlite/database-lock.ts'
import { spawnProgram, temporaryDirectory } from '../support/index.ts'
import { code, freshWorkspace, serve } from './support.ts'

test('A2: one file, two workspaces: the second is told who has it', async (t) => {
  const [a, b] = [freshWorkspace(t), freshWorkspace(t)]
  const shared = join(temporaryDirectory(t), 'app.db')
  const primary = await serve(t, a, { file: shared })
  const refused = code('DATABASE_IN_USE', undefined, new RegExp(a.folder))
  await assert.rejects(serve(t, b, { file: shared }), refused)
  // By another name too: the lock lies beside the real path.
  symlinkSync(shared, join(b.folder, 'alias.db'))
  await assert.rejects(serve(t, b, { file: 'alias.db' }), refused)
  await primary.close()
  const second = await serve(t, b, { file: shared, lock: 'another' })
  assert.equal(second.opened.term, 1)
})

test('A2: it is held by another process, and free when that is killed', async (t) => {
  const workspace = freshWorkspace(t)
  const program = spawnProgram(t, join(import.meta.dirname, 'programs', 'primary.ts'), [workspace.folder])
  const { path } = await program.ready<{ path: string }>()
  assert.throws(
    () => lockDatabase(posixPlatform(), path, 'x'),
    code('DATABASE_IN_USE', undefined, new RegExp(workspace.folder)),
  )
  await program.kill()
  lockDatabase(posixPlatform(), path, 'x').close()
})

test('A2: without the record of the holder the error still says what to do', (t) => {
  const path = join(temporaryDirectory(t), 'app.db')
  const platform = posixPlatform()
  const lock = lockDatabase(platform, path, 'x')
  platform.replaceFile(`${path}-lock.json`, 'no json')
  assert.throws(() => lockDatabase(platform, path, 'y'), code('DATABASE_IN_USE', undefined, /another workspace/))
  lock.close()
})
