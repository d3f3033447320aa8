import assert from 'node:assert/strict'
import { renameSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { openWorkspace } from '../../src/election/index.ts'
import { posixPlatform } from '../../src/platform/index.ts'
import { mayStand, profileOf } from '../../src/sqlite/index.ts'
import { compareProfile, profilePath, readProfile, writeProfile, type Profile } from '../../src/sqlite/profile.ts'
import { temporaryDirectory } from '../support/index.ts'
import { code, freshWorkspace, serve, TABLE } from './support.ts'

const SECOND = 'ALTER TABLE note ADD COLUMN tag TEXT'

test('A7: only a member that covers the recorded profile stands', async (t) => {
  const workspace = freshWorkspace(t)
  assert.equal(mayStand(workspace, undefined), true, 'nothing is recorded yet')
  const primary = await serve(t, workspace, { migrations: [TABLE, SECOND] })
  await primary.close()
  assert.equal(mayStand(workspace, undefined), false, 'a helper without a database')
  assert.equal(mayStand(workspace, { migrations: [TABLE] }), false, 'an older build')
  assert.equal(mayStand(workspace, { migrations: [TABLE, SECOND] }), true)
  assert.equal(mayStand(workspace, { migrations: [TABLE, SECOND, 'SELECT 1'] }), true, 'a newer build')
  const mismatch = (settings: Parameters<typeof mayStand>[1], ...words: RegExp[]): void => {
    assert.throws(() => mayStand(workspace, settings), code('PROFILE_MISMATCH', undefined, ...words))
  }
  mismatch({ migrations: [TABLE, SECOND], file: 'other.db' }, /data\.db/, /other\.db/)
  mismatch({ migrations: [TABLE, SECOND], durability: 'full' }, /normal/, /full/)
  mismatch({ migrations: ['SELECT 2', SECOND] }, /migration 1 /)
})

test('A7: the profile moves with its folder, and a damaged one counts as none', async (t) => {
  const parent = temporaryDirectory(t)
  const before = openWorkspace(posixPlatform(), temporaryDirectory(t), { create: true })
  const own: Profile = { ...profileOf(before, {}), migrations: ['a'] }
  writeProfile(before, own)
  assert.deepEqual(readProfile(before), own)
  renameSync(before.folder, join(parent, 'moved'))
  const after = openWorkspace(posixPlatform(), join(parent, 'moved'), { create: true })
  assert.equal(readProfile(after)?.file, join(parent, 'moved', '.conclave', 'data.db'))
  for (const text of ['', '{', 'null', '{"file":1}', '{"file":"x","durability":"often","migrations":[]}']) {
    after.platform.replaceFile(profilePath(after), text)
    assert.equal(readProfile(after), undefined, text)
  }
  assert.equal(compareProfile(undefined, own).verdict, 'covers')
})
