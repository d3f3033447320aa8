import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import * as fs from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { ConclaveError, type Code } from '../../src/errors/index.ts'
import { posixPlatform } from '../../src/platform/index.ts'
import { unixTransport, type Connection } from '../../src/transport/index.ts'
import { platformSuite } from './suite.ts'
import { isRoot, needsCompiler, needsLinux, needsRoot, startProgram, STRANGER, temporaryDirectory } from './support.ts'

platformSuite('posix', () => {
  const directory = fs.mkdtempSync(join(fs.realpathSync('/tmp'), 'conclave-'))
  return { platform: posixPlatform(), directory, dispose: () => fs.rmSync(directory, { recursive: true }) }
})

const platform = posixPlatform()

function refuses(act: () => unknown, code: Code, message: RegExp = /./): void {
  assert.throws(act, (error) => {
    assert.ok(ConclaveError.is(error, code), String(error))
    assert.match(error.message, message)
    return true
  })
}

test('B4 a symbolic link, a FIFO, a hard link or a device where the lock should be', (context) => {
  const directory = temporaryDirectory(context)
  const path = join(directory, 'lock')
  const target = join(directory, 'target')
  fs.writeFileSync(target, '')
  fs.symlinkSync(target, path)
  refuses(() => platform.tryLock(path), 'UNSAFE_WORKSPACE', /symbolic link/)
  fs.unlinkSync(path)
  fs.symlinkSync(join(directory, 'nothing'), path)
  refuses(() => platform.tryLock(path), 'UNSAFE_WORKSPACE', /symbolic link/)
  assert.equal(fs.existsSync(join(directory, 'nothing')), false)
  fs.unlinkSync(path)
  assert.equal(spawnSync('mkfifo', [path]).status, 0)
  refuses(() => platform.tryLock(path), 'UNSAFE_WORKSPACE', /not a regular file/)
  refuses(() => platform.readFile(path, 100), 'UNSAFE_WORKSPACE', /not a regular file/)
  fs.unlinkSync(path)
  fs.linkSync(target, path)
  refuses(() => platform.tryLock(path), 'UNSAFE_WORKSPACE', /hard link/)
  refuses(() => platform.tryLock('/dev/null'), 'UNSAFE_WORKSPACE')
})

test('B4 readFile does not follow a symbolic link', (context) => {
  const directory = temporaryDirectory(context)
  fs.writeFileSync(join(directory, 'target'), 'secret')
  fs.symlinkSync('target', join(directory, 'it'))
  refuses(() => platform.readFile(join(directory, 'it'), 100), 'UNSAFE_WORKSPACE')
})

test('a lock of another user', { skip: needsRoot }, (context) => {
  const path = join(temporaryDirectory(context), 'lock')
  fs.writeFileSync(path, '')
  fs.chownSync(path, STRANGER, STRANGER)
  refuses(() => platform.tryLock(path), 'FOREIGN_WORKSPACE', new RegExp(`uid ${STRANGER}.*sudo -u.*chown`))
})

test('a lock that cannot be written', async (context) => {
  const directory = temporaryDirectory(context, { forAll: true })
  // Root writes everywhere, so there somebody else tries.
  if (isRoot) fs.chownSync(directory, STRANGER, STRANGER)
  fs.chmodSync(directory, 0o500)
  const who = isRoot ? [String(STRANGER)] : []
  const program = startProgram(context, 'platform/programs/lock.ts', [join(directory, 'lock'), ...who])
  assert.equal(await program.line(), 'WORKSPACE_READ_ONLY')
})

test('another process: busy while it holds, free as soon as it is dead', async (context) => {
  const path = join(temporaryDirectory(context), 'lock')
  const holder = startProgram(context, 'platform/programs/lock.ts', [path])
  assert.match(await holder.line(), /^taken/)
  assert.equal(platform.tryLock(path), undefined)
  holder.child.kill('SIGSTOP')
  assert.equal(platform.tryLock(path), undefined)
  holder.child.kill('SIGKILL')
  await holder.ended
  const lock = platform.tryLock(path)
  assert.ok(lock)
  lock.close()
})

test(
  'A9 locks have a higher descriptor than any socket, however many there are',
  { skip: needsLinux },
  async (context) => {
    const directory = temporaryDirectory(context)
    const paths = ['workspace', 'database'].map((name) => join(directory, name))
    const held = paths.map((path) => platform.tryLock(path))
    const transport = unixTransport()
    const accepted: Connection[] = []
    const listener = transport.listen(join(directory, 's'), {
      backlog: 511,
      onConnection: (connection) => void accepted.push(connection),
      onError: assert.ifError,
    })
    const open: Connection[] = []
    for (const links of [1, 40, 150]) {
      while (open.length < links) open.push(transport.connect(join(directory, 's')))
      while (accepted.length < links) await turn()
      const descriptors = fs.readdirSync('/proc/self/fd').flatMap((fd) => {
        try {
          return [{ fd: Number(fd), to: fs.readlinkSync(`/proc/self/fd/${fd}`) }]
        } catch {
          return [] // that of this look
        }
      })
      const sockets = descriptors.filter(({ to }) => to.startsWith('socket:')).map(({ fd }) => fd)
      const locks = descriptors.filter(({ to }) => paths.includes(to)).map(({ fd }) => fd)
      assert.ok(sockets.length >= 2 * links)
      assert.equal(locks.length, 2)
      assert.ok(
        locks.every((fd) => fd > Math.max(...sockets)),
        `${locks.join()} above ${Math.max(...sockets)}`,
      )
    }
    for (const connection of [...open, ...accepted]) connection.close()
    listener.close()
    for (const path of paths) assert.equal(platform.tryLock(path), undefined, 'it was never let go')
    for (const lock of held) lock?.close()
  },
)

test('A10 a child does not inherit the lock', (context) => {
  const path = join(temporaryDirectory(context), 'lock')
  const lock = platform.tryLock(path)
  const child = spawn('sleep', ['60'], { stdio: 'ignore' })
  context.after(() => child.kill('SIGKILL'))
  lock?.close()
  const again = platform.tryLock(path)
  assert.ok(again)
  again.close()
})

test('A10 garbage collection does not take the lock away', async (context) => {
  const path = join(temporaryDirectory(context), 'lock')
  const program = `
    const { posixPlatform } = await import(${JSON.stringify(new URL('../../src/platform/index.ts', import.meta.url).href)})
    const platform = posixPlatform()
    ;(() => platform.tryLock(${JSON.stringify(path)}))()
    for (let round = 0; round < 5; round++) { gc(); await new Promise(setImmediate) }
    console.log(platform.tryLock(${JSON.stringify(path)}) === undefined ? 'held' : 'lost')`
  const run = spawnSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', program], { encoding: 'utf8' })
  assert.equal(run.stdout, 'held\n', run.stderr)
})

test('B18 a setuid program is refused', { skip: needsRoot }, async (context) => {
  const program = startProgram(context, 'platform/programs/setuid.ts', [String(STRANGER)])
  assert.equal(await program.line(), 'SETUID_REFUSED')
})

/** A library that stands in front of the system's flock(2). */
function preload(directory: string, source: string): NodeJS.ProcessEnv {
  const [file, library] = [join(directory, 'flock.c'), join(directory, 'flock.so')]
  fs.writeFileSync(file, source)
  const run = spawnSync('cc', ['-shared', '-fPIC', '-o', library, file], { encoding: 'utf8' })
  assert.equal(run.status, 0, run.stderr)
  return { ...process.env, LD_PRELOAD: library }
}

test('C6 a file system where a second descriptor gets the lock too', { skip: needsCompiler }, async (context) => {
  const directory = temporaryDirectory(context)
  const env = preload(directory, 'int flock(int fd, int operation) { (void)fd; (void)operation; return 0; }')
  const program = startProgram(context, 'platform/programs/lock.ts', [join(directory, 'lock')], { env })
  assert.equal(await program.line(), 'LOCK_UNRELIABLE')
})

test('A1 the file is replaced between open and lock', { skip: needsCompiler }, async (context) => {
  const directory = temporaryDirectory(context)
  const path = join(directory, 'lock')
  // Kept open, so that its inode is not given to the new file.
  const old = fs.openSync(path, 'w')
  context.after(() => fs.closeSync(old))
  const before = platform.stat(path)
  const env = preload(
    directory,
    `#include <sys/syscall.h>
     #include <unistd.h>
     int flock(int fd, int operation) {
       static int calls;
       if (calls++ == 0) unlink(${JSON.stringify(path)});
       return (int)syscall(SYS_flock, fd, operation);
     }`,
  )
  const program = startProgram(context, 'platform/programs/lock.ts', [path], { env })
  const [word, identity, ours] = (await program.line()).split(' ')
  const now = platform.stat(path)
  assert.equal(word, 'taken')
  assert.equal(ours, 'true')
  assert.equal(identity, `${now?.dev}:${now?.ino}`)
  assert.notEqual(now?.ino, before?.ino)
})

test('runtimeDirectory: made 0700 below XDG_RUNTIME_DIR, and only a safe one', (context) => {
  const parent = temporaryDirectory(context)
  useRuntimeDirectory(context, parent)
  const path = join(parent, 'conclave')
  assert.equal(platform.runtimeDirectory(), path)
  assert.equal(platform.stat(path)?.mode, 0o700)
  assert.equal(platform.runtimeDirectory(), path)
  fs.chmodSync(path, 0o750)
  refuses(() => platform.runtimeDirectory(), 'UNSAFE_WORKSPACE', /chmod 700/)
  fs.rmdirSync(path)
  fs.symlinkSync(parent, path)
  refuses(() => platform.runtimeDirectory(), 'UNSAFE_WORKSPACE', /not a directory/)
  fs.unlinkSync(path)
  fs.writeFileSync(path, '')
  refuses(() => platform.runtimeDirectory(), 'UNSAFE_WORKSPACE', /not a directory/)
})

test("runtimeDirectory: another user's", { skip: needsRoot }, (context) => {
  const parent = temporaryDirectory(context)
  useRuntimeDirectory(context, parent)
  fs.mkdirSync(join(parent, 'conclave'), 0o700)
  fs.chownSync(join(parent, 'conclave'), STRANGER, STRANGER)
  refuses(() => platform.runtimeDirectory(), 'FOREIGN_WORKSPACE', /chown/)
  // After `su`, XDG_RUNTIME_DIR is still the other user's: not ours to litter.
  fs.chownSync(parent, STRANGER, STRANGER)
  assert.equal(platform.runtimeDirectory(), `/tmp/conclave-${platform.uid}`)
})

test(
  "runtimeDirectory: below a directory of another user's that is closed to us",
  { skip: needsRoot },
  async (context) => {
    const closed = temporaryDirectory(context)
    const program = startProgram(context, 'platform/programs/stranger-directories.ts', [String(STRANGER)], {
      env: { ...process.env, XDG_RUNTIME_DIR: join(closed, 'run') },
    })
    const [runtime] = (await program.line()).split(' ')
    assert.equal(runtime, `/tmp/conclave-${STRANGER}`)
    assert.equal((await program.ended).code, 0)
  },
)

test('makeDirectory: the mode it was asked for, whatever the umask takes away', (context) => {
  const parent = temporaryDirectory(context)
  for (const umask of [0o000, 0o022, 0o177, 0o777]) {
    const path = join(parent, umask.toString(8))
    const before = process.umask(umask)
    try {
      platform.makeDirectory(path, 0o700)
    } finally {
      process.umask(before)
    }
    assert.equal(platform.stat(path)?.mode, 0o700)
  }
  fs.chmodSync(join(parent, '22'), 0o755)
  platform.makeDirectory(join(parent, '22'), 0o700)
  assert.equal(platform.stat(join(parent, '22'))?.mode, 0o755, 'one that was there is left as it is')
})

test('runtimeDirectory: without a usable XDG_RUNTIME_DIR', (context) => {
  for (const value of ['relative/path', '/nowhere/at/all', '']) {
    useRuntimeDirectory(context, value)
    assert.equal(platform.runtimeDirectory(), `/tmp/conclave-${platform.uid}`)
  }
})

function useRuntimeDirectory(context: { after(restore: () => void): void }, value: string): void {
  const before = process.env['XDG_RUNTIME_DIR']
  process.env['XDG_RUNTIME_DIR'] = value
  context.after(() => {
    if (before === undefined) delete process.env['XDG_RUNTIME_DIR']
    else process.env['XDG_RUNTIME_DIR'] = before
  })
}

test('now is the clock of the machine', { skip: needsLinux }, () => {
  const uptime = (): number => Number(fs.readFileSync('/proc/uptime', 'utf8').split(' ')[0]) * 1000
  // CLOCK_MONOTONIC, which is the uptime of a machine that never slept (and behind it otherwise).
  assert.ok(platform.now() <= uptime() + 1000)
  const other = spawnSync(
    process.execPath,
    ['--input-type=module', '-e', 'console.log(Number(process.hrtime.bigint()) / 1e6)'],
    { encoding: 'utf8' },
  )
  assert.ok(Number(other.stdout) <= platform.now())
})

test('the boot id is the one of the machine', { skip: needsLinux }, () => {
  assert.equal(platform.bootId, fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim())
})
