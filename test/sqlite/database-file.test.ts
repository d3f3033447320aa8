import assert from 'node:assert/strict'
import { linkSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { posixPlatform, type Platform } from '../../src/platform/index.ts'
import { fileIdentity, resolveDatabase } from '../../src/sqlite/database-file.ts'
import { openDatabase } from '../../src/sqlite/index.ts'
import { temporaryDirectory } from '../support/index.ts'
import { code, freshWorkspace } from './support.ts'

function on(type: string, kind: 'local' | 'network' | 'unknown'): Platform {
  const platform = posixPlatform()
  return new Proxy(platform, {
    get: (target, key) => {
      if (key === 'fileSystem') return () => ({ type, kind })
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? (value as () => unknown).bind(target) : value
    },
  })
}

test('a path is relative to the folder, and real', (t) => {
  const folder = temporaryDirectory(t)
  const platform = posixPlatform()
  mkdirSync(join(folder, 'data'))
  symlinkSync('data', join(folder, 'link'))
  assert.equal(resolveDatabase(platform, folder, 'link/app.db').path, join(folder, 'data', 'app.db'))
  writeFileSync(join(folder, 'data', 'real.db'), '')
  symlinkSync('data/real.db', join(folder, 'alias.db'))
  assert.equal(resolveDatabase(platform, folder, join(folder, 'alias.db')).path, join(folder, 'data', 'real.db'))
  assert.equal(fileIdentity(platform, join(folder, 'none')), undefined)
})

test('what is no file of its own is refused, with the way out', (t) => {
  const folder = temporaryDirectory(t)
  const platform = posixPlatform()
  const refused = (file: string, word: RegExp): void => {
    assert.throws(() => resolveDatabase(platform, folder, file), code('INVALID_OPTION', undefined, word), file)
  }
  refused(':memory:', /file/)
  refused('file:x?mode=memory', /file/)
  refused('', /file/)
  refused('nowhere/app.db', /create it first/)
  mkdirSync(join(folder, 'dir.db'))
  refused('dir.db', /regular file/)
  symlinkSync('gone', join(folder, 'dangling.db'))
  refused('dangling.db', /leads nowhere/)
  writeFileSync(join(folder, 'one.db'), '')
  linkSync(join(folder, 'one.db'), join(folder, 'two.db'))
  refused('one.db', /hard links/)
})

test('WAL is refused on network and FUSE-like file systems, with the way out; an unknown one warns', (t) => {
  const folder = temporaryDirectory(t)
  const refused = code('LOCK_UNRELIABLE', undefined, /fuse/, /local disk/)
  assert.throws(() => resolveDatabase(on('fuse', 'network'), folder, 'a.db'), refused)
  const { warnings } = resolveDatabase(on('0x1234', 'unknown'), folder, 'a.db')
  assert.equal(warnings[0]?.code, 'LOCK_UNRELIABLE')
  assert.deepEqual(resolveDatabase(on('ext4', 'local'), folder, 'a.db').warnings, [])
})

test('a file that is no database is an error that says so, and its lock is free again', async (t) => {
  const workspace = freshWorkspace(t)
  writeFileSync(join(workspace.folder, 'text.db'), 'this is a text and no database at all'.repeat(40))
  for (let i = 0; i < 2; i++) {
    const opening = openDatabase({ workspace, file: 'text.db' })
    await assert.rejects(opening, (error: Error) => /not a database/.test(error.message))
  }
})
