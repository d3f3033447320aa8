import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ConclaveError } from '../../src/errors/index.ts'
import type { Platform } from '../../src/platform/index.ts'

export interface PlatformUnderTest {
  readonly platform: Platform
  /** An empty directory. */
  readonly directory: string
  dispose(): void
}

/** What every platform promises (src/platform/platform.ts), as far as one process can see it. */
export function platformSuite(name: string, makePlatform: () => PlatformUnderTest): void {
  describe(`platform: ${name}`, () => {
    const check = (title: string, body: (platform: Platform, path: string) => void | Promise<void>): void => {
      test(title, async (context) => {
        const { platform, directory, dispose } = makePlatform()
        context.after(dispose)
        await body(platform, `${directory}/it`)
      })
    }

    check('one holder a lock, also within one process', (platform, path) => {
      const lock = platform.tryLock(path)
      assert.ok(lock)
      assert.equal(lock.path, path)
      assert.equal(platform.tryLock(path), undefined)
      assert.equal(lock.stillOurs(), true)
      lock.close()
      lock.close()
      assert.equal(lock.stillOurs(), false)
      assert.equal(platform.stat(path)?.kind, 'file', 'never unlinked')
      const again = platform.tryLock(path)
      assert.equal(again?.identity, lock.identity)
      again?.close()
    })

    check('the identity of a lock is dev:ino, and the file is for us alone', (platform, path) => {
      const lock = platform.tryLock(path)
      const stat = platform.stat(path)
      assert.equal(lock?.identity, `${stat?.dev}:${stat?.ino}`)
      assert.equal(stat?.mode, 0o600)
      assert.equal(stat?.uid, platform.uid)
      assert.equal(stat?.links, 1)
      lock?.close()
    })

    check('A1 the lock file is deleted or replaced while it is held', (platform, path) => {
      const lock = platform.tryLock(path)
      platform.remove(path)
      assert.equal(lock?.stillOurs(), false)
      const usurper = platform.tryLock(path)
      assert.ok(usurper, 'the path names another file: another lock')
      assert.notEqual(usurper.identity, lock?.identity)
      assert.equal(lock?.stillOurs(), false)
      assert.equal(usurper.stillOurs(), true)
      lock?.close()
      assert.equal(usurper.stillOurs(), true, 'the closed one took nothing with it')
      assert.equal(platform.tryLock(path), undefined)
      usurper.close()
    })

    check('the lock of a directory that does not exist: ENOENT', (platform, path) => {
      assert.throws(() => platform.tryLock(`${path}/lock`), { code: 'ENOENT' })
    })

    check('B4 a directory where the lock should be', (platform, path) => {
      platform.makeDirectory(path, 0o700)
      assert.throws(
        () => platform.tryLock(path),
        (error) => ConclaveError.is(error, 'UNSAFE_WORKSPACE'),
      )
    })

    check('replaceFile and readFile', (platform, path) => {
      assert.equal(platform.readFile(path, 10), undefined)
      platform.replaceFile(path, 'zwölf')
      assert.equal(platform.readFile(path, 6), 'zwölf')
      assert.throws(
        () => platform.readFile(path, 5),
        (error) => ConclaveError.is(error, 'TOO_LARGE'),
      )
      const before = platform.stat(path)
      platform.replaceFile(path, '')
      assert.equal(platform.readFile(path, 5), '')
      assert.notEqual(platform.stat(path)?.ino, before?.ino, 'a new file, renamed')
      assert.equal(platform.stat(path)?.mode, 0o600)
      assert.deepEqual(platform.list(path.slice(0, -3)), ['it'], 'no temporary file stays')
    })

    check('replaceFile that fails leaves nothing behind', (platform, path) => {
      platform.makeDirectory(path, 0o700)
      assert.throws(() => platform.replaceFile(path, 'x'), { code: 'EISDIR' })
      assert.deepEqual(platform.list(path.slice(0, -3)), ['it'])
    })

    check('makeDirectory, stat, remove, list, realPath', (platform, path) => {
      assert.equal(platform.stat(path), undefined)
      platform.makeDirectory(path, 0o700)
      platform.makeDirectory(path, 0o755)
      assert.equal(platform.stat(path)?.kind, 'directory')
      assert.equal(platform.stat(path)?.mode, 0o700)
      assert.deepEqual(platform.list(path), [])
      assert.equal(platform.realPath(`${path}/../it/.`), platform.realPath(path))
      assert.throws(() => platform.realPath(`${path}/nothing`), { code: 'ENOENT' })
      assert.throws(() => platform.list(`${path}/nothing`), { code: 'ENOENT' })
      assert.throws(() => platform.makeDirectory(`${path}/a/b`, 0o700), { code: 'ENOENT' })
      platform.remove(`${path}/nothing`)
    })

    check('syncFile', async (platform, path) => {
      platform.replaceFile(path, 'x')
      await platform.syncFile(path)
      await assert.rejects(platform.syncFile(`${path}-not`), { code: 'ENOENT' })
    })

    check('facts', (platform, path) => {
      platform.replaceFile(path, '')
      assert.equal(platform.isOurUid(platform.uid), true)
      assert.equal(platform.isOurUid(platform.uid + 1), false)
      assert.ok(platform.maxSocketPathBytes >= 103)
      assert.ok(Math.abs(Number(platform.stat(path)?.modifiedMs) - Date.now()) < 3_600_000)
      const before = platform.now()
      assert.ok(platform.now() >= before)
      assert.equal(typeof platform.fileSystem(path).type, 'string')
      assert.ok(platform.hostName)
    })
  })
}
