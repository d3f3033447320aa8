import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { findWorkspace, isAppName, openWorkspace, seek } from '../../src/election/index.ts'
import { code, folder, isRoot, machine, memoryWorkspace, posix, systemError, withFaults } from './support.ts'

describe('openWorkspace', () => {
  it('makes .conclave private and ignored by git', (t) => {
    const at = folder(t)
    const workspace = openWorkspace(posix(t), at, { create: true })
    assert.equal(statSync(join(at, '.conclave')).mode & 0o777, 0o700)
    assert.equal(readFileSync(join(at, '.conclave', '.gitignore'), 'utf8'), '*\n')
    assert.equal(workspace.lockPath, join(workspace.folder, '.conclave', 'lock'))
    assert.equal(workspace.identity(), undefined)
    assert.deepEqual(workspace.warnings, [])
  })

  it('gives each app a directory of its own', (t) => {
    const at = folder(t)
    const platform = posix(t)
    const workspace = openWorkspace(platform, at, { app: 'notes', create: true })
    assert.equal(statSync(join(at, '.conclave', 'notes')).mode & 0o777, 0o700)
    assert.match(workspace.label, / \(notes\)$/)
    assert.notEqual(openWorkspace(platform, at, { create: true }).lockPath, workspace.lockPath)
  })

  it('names apps so that they cannot leave the directory or meet our own files', () => {
    for (const good of ['a', 'notes', 'my-app_2', 'x.y', '-', 'a'.repeat(64)]) assert(isAppName(good), good)
    const bad = ['', '.', '..', '.git', 'a/b', 'Notes', 'ä', 'a b', 'a\0', 'a'.repeat(65)]
    for (const name of [...bad, 'lock', 'term', 'primary.json', 'data.db', 'data.db-wal'])
      assert(!isAppName(name), name)
    const platform = machine().process()
    assert.throws(
      () => openWorkspace(platform, '/project', { app: '..', create: true }),
      code('INVALID_OPTION', /"\.\."/),
    )
  })

  it('says what to do when the folder is missing or is a file', (t) => {
    const at = folder(t)
    const platform = posix(t)
    assert.throws(
      () => openWorkspace(platform, join(at, 'no'), { create: true }),
      code('INVALID_OPTION', /Create it first/),
    )
    writeFileSync(join(at, 'file'), '')
    assert.throws(
      () => openWorkspace(platform, join(at, 'file'), { create: true }),
      code('INVALID_OPTION', /not a folder/),
    )
  })

  it('creates nothing for those who only look', (t) => {
    const at = folder(t)
    const workspace = openWorkspace(posix(t), at, { create: false })
    assert.equal(workspace.verify(), false)
    assert(!existsSync(join(at, '.conclave')))
  })

  it('B4 refuses a .conclave that is a symlink, a file, or open to others', (t) => {
    const platform = posix(t)
    const open = (at: string, app?: string) => (): unknown => openWorkspace(platform, at, { create: true, app })

    const linked = folder(t)
    mkdirSync(join(linked, 'elsewhere'), { mode: 0o700 })
    symlinkSync('elsewhere', join(linked, '.conclave'))
    assert.throws(open(linked), code('UNSAFE_WORKSPACE', /symbolic link/))
    assert.throws(open(linked, 'notes'), code('UNSAFE_WORKSPACE', /symbolic link/))
    assert(!existsSync(join(linked, 'elsewhere', 'notes')), 'nothing was made through the link')

    const file = folder(t)
    writeFileSync(join(file, '.conclave'), '')
    assert.throws(open(file), code('UNSAFE_WORKSPACE', /not a directory/))
    assert.throws(open(file, 'notes'), code('UNSAFE_WORKSPACE', /not a directory/))

    const loose = folder(t)
    mkdirSync(join(loose, '.conclave'))
    chmodSync(join(loose, '.conclave'), 0o755)
    assert.throws(open(loose), code('UNSAFE_WORKSPACE', /mode 755.*delete it.*chmod 700/s))

    const inner = folder(t)
    mkdirSync(join(inner, '.conclave'), { mode: 0o700 })
    symlinkSync('/tmp', join(inner, '.conclave', 'notes'))
    assert.throws(open(inner, 'notes'), code('UNSAFE_WORKSPACE', /symbolic link/))
  })

  it('B4 refuses a lock that is a FIFO or a symlink', async (t) => {
    const platform = posix(t)
    const never = { stand: true, deadline: Infinity, attempt: () => Promise.reject(new Error('nobody is there')) }
    const fifo = openWorkspace(platform, folder(t), { create: true })
    execFileSync('mkfifo', [fifo.lockPath])
    await assert.rejects(seek(fifo, never), code('UNSAFE_WORKSPACE'))
    const link = openWorkspace(platform, folder(t), { create: true })
    symlinkSync('term', link.lockPath)
    await assert.rejects(seek(link, never), code('UNSAFE_WORKSPACE'))
  })

  it('B18 refuses the .conclave of another user, root or not', { skip: !isRoot && 'needs root for chown' }, (t) => {
    const at = folder(t)
    const platform = posix(t)
    openWorkspace(platform, at, { create: true })
    chownSync(join(at, '.conclave'), 12345, 12345)
    for (const create of [true, false]) {
      assert.throws(
        () => openWorkspace(platform, at, { create }),
        code('FOREIGN_WORKSPACE', /sudo -u '#12345'/, /chown -R 0/),
      )
    }
  })

  it('B18 the same in memory', () => {
    const one = machine()
    memoryWorkspace(one.process({ uid: 1000 }))
    for (const uid of [0, 1001]) {
      assert.throws(() => memoryWorkspace(one.process({ uid })), code('FOREIGN_WORKSPACE', /uid 1000/, /chown/))
    }
  })

  it("B18 warns root that would create one in somebody's folder", () => {
    const one = machine()
    const [warning] = memoryWorkspace(one.process({ uid: 0 })).warnings
    assert(code('FOREIGN_WORKSPACE', /root creates/, /sudo -u '#1000'/, /chown -R 1000/)(warning))
    assert.deepEqual(memoryWorkspace(one.process({ uid: 0 })).warnings, [], 'it exists now')
    assert.deepEqual(memoryWorkspace().warnings, [], 'not root')
  })

  it('says that a folder cannot be written, and why', () => {
    for (const [errno, why] of [
      ['EROFS', /read-only/],
      ['EACCES', /permission/],
      ['ENOSPC', /full/],
    ] as const) {
      const fault = (): never => {
        throw systemError(errno)
      }
      for (const platform of [
        withFaults(machine().process(), { makeDirectory: fault }),
        withFaults(machine().process(), { replaceFile: fault }),
      ]) {
        assert.throws(() => memoryWorkspace(platform), code('WORKSPACE_READ_ONLY', why))
      }
    }
  })

  it('C6 the type of the file system decides: network refused, unknown warned', () => {
    const on = (kind: 'network' | 'unknown') =>
      withFaults(machine().process(), { fileSystem: () => ({ type: 'x9fs', kind }) })
    assert.throws(() => memoryWorkspace(on('network')), code('LOCK_UNRELIABLE', /x9fs/, /local disk/))
    const [warning] = memoryWorkspace(on('unknown')).warnings
    assert(code('LOCK_UNRELIABLE', /x9fs/)(warning))
  })
})

describe('findWorkspace', () => {
  it('finds the nearest folder upwards, as git does', (t) => {
    const at = folder(t)
    const platform = posix(t)
    mkdirSync(join(at, 'a', 'b', 'c'), { recursive: true })
    const outer = openWorkspace(platform, at, { create: true })
    assert.equal(findWorkspace(platform, join(at, 'a', 'b', 'c')), undefined, 'a directory without a lock is none')
    platform.tryLock(outer.lockPath)?.close()
    assert.equal(findWorkspace(platform, join(at, 'a', 'b', 'c')), outer.folder)
    const inner = openWorkspace(platform, join(at, 'a', 'b'), { create: true })
    platform.tryLock(inner.lockPath)?.close()
    assert.equal(findWorkspace(platform, join(at, 'a', 'b', 'c')), inner.folder)
    assert.equal(findWorkspace(platform, join(at, 'a')), outer.folder)
    assert.equal(findWorkspace(platform, join(at, 'a'), { app: 'notes' }), undefined)
  })

  it("passes over somebody else's", () => {
    const one = machine()
    const theirs = memoryWorkspace(one.process({ uid: 1001 }))
    theirs.platform.tryLock(theirs.lockPath)
    const ours = one.process({ uid: 1000 })
    ours.makeDirectory('/project/deep', 0o755)
    assert.equal(findWorkspace(ours, '/project/deep'), undefined)
    assert.equal(findWorkspace(theirs.platform, '/project/deep'), '/project')
  })
})
