import type { BigIntStats } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, isAbsolute, join } from 'node:path'
import { ConclaveError } from '../errors/index.ts'
import { fs, util } from './builtins.ts'
import { monotonicMs } from './clock.ts'
import { systemError } from './errors.ts'
import { fileSystemOf } from './filesystems.ts'
import { isOurUid, mapsEveryId, refuseSetuid, type UidView } from './identity.ts'
import { native, type LockHandle, type LockRefusal } from './native.ts'
import type { FileStat, FileSystem, Lock, Platform } from './platform.ts'
import { randomBytes } from './random.ts'

const { constants } = fs
// As those of fs/promises, which takes a primary 1 ms to load.
const openAsync = util.promisify(fs.open)
const syncAsync = util.promisify(fs.fsync)
const closeAsync = util.promisify(fs.close)

/** sizeof(sockaddr_un.sun_path) - 1. */
const MAX_SOCKET_PATH_BYTES = process.platform === 'darwin' ? 103 : 107

/** Linux and macOS. @throws `UNSUPPORTED` elsewhere or without a binary of the addon, `SETUID_REFUSED` */
export function posixPlatform(): Platform {
  if (process.geteuid === undefined || process.getuid === undefined || process.platform === 'win32') {
    throw new ConclaveError('UNSUPPORTED', 'conclave does not run on Windows yet: use it inside WSL.')
  }
  const euid = process.geteuid()
  refuseSetuid(process.getuid(), euid)
  native()
  return new PosixPlatform(euid)
}

class PosixPlatform implements Platform {
  readonly name = 'posix'
  readonly uid: number
  readonly maxSocketPathBytes: number = MAX_SOCKET_PATH_BYTES
  readonly hostName: string = hostname()
  readonly bootId: string | undefined = bootId()
  #uidView: UidView | undefined

  constructor(uid: number) {
    this.uid = uid
  }

  now(): number {
    return monotonicMs()
  }

  isOurUid(uid: number): boolean {
    this.#uidView ??= uidView(this.uid)
    return isOurUid(uid, this.#uidView)
  }

  tryLock(path: string): Lock | undefined {
    const taken = native().tryLock(path)
    if (taken === 'BUSY') return undefined
    if (typeof taken === 'string') throw lockRefused(path, taken)
    if (typeof taken === 'number') throw this.#lockFailed(path, systemError(taken, 'lock', path))
    return new PosixLock(path, taken.handle, `${taken.dev}:${taken.ino}`)
  }

  stat(path: string): FileStat | undefined {
    const stats = fs.lstatSync(path, { bigint: true, throwIfNoEntry: false })
    if (stats === undefined) return undefined
    return {
      kind: kindOf(stats),
      dev: stats.dev,
      ino: stats.ino,
      uid: Number(stats.uid),
      mode: Number(stats.mode & 0o7777n),
      links: Number(stats.nlink),
      modifiedMs: Number(stats.mtimeMs),
    }
  }

  makeDirectory(path: string, mode: number): void {
    try {
      fs.mkdirSync(path, { mode })
    } catch (error) {
      if (errnoCode(error) !== 'EEXIST') throw error
      return
    }
    // A umask of 177, as before secret files are made, takes our own bits away: we could not go in.
    const made = this.stat(path)
    const own = mode & 0o700
    if (made?.kind === 'directory' && (made.mode & own) !== own) fs.chmodSync(path, made.mode | own)
  }

  readFile(path: string, maxBytes: number): string | undefined {
    const file = open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    if (file === undefined) return undefined
    try {
      const stats = fs.fstatSync(file)
      if (!stats.isFile()) throw unsafe(path, 'is not a regular file')
      // One more than allowed: it may grow while we read.
      const bytes = Buffer.allocUnsafe(Math.min(stats.size, maxBytes) + 1)
      let length = 0
      for (let got = 1; got > 0 && length < bytes.length; length += got) {
        got = fs.readSync(file, bytes, length, bytes.length - length, null)
      }
      if (length > maxBytes) {
        throw new ConclaveError(
          'TOO_LARGE',
          `${path} has more than ${maxBytes} bytes; it should be a small file of ours.`,
        )
      }
      return bytes.toString('utf8', 0, length)
    } finally {
      fs.closeSync(file)
    }
  }

  replaceFile(path: string, content: string): void {
    // O_EXCL and a random name: nobody can prepare a symlink there.
    const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
    try {
      fs.writeFileSync(temporary, content, { mode: 0o600, flag: 'wx' })
      fs.renameSync(temporary, path)
    } catch (error) {
      fs.rmSync(temporary, { force: true })
      throw error
    }
  }

  async syncFile(path: string): Promise<void> {
    for (const target of [path, dirname(path)]) {
      const file = await openAsync(target, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
      try {
        await syncAsync(file)
      } finally {
        await closeAsync(file)
      }
    }
  }

  remove(path: string): void {
    try {
      fs.unlinkSync(path)
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw error
    }
  }

  list(directory: string): string[] {
    return fs.readdirSync(directory)
  }

  realPath(path: string): string {
    return fs.realpathSync.native(path)
  }

  fileSystem(path: string): FileSystem {
    const found = native().fileSystemType(path)
    if (typeof found === 'number' && found < 0) throw systemError(found, 'statfs', path)
    return fileSystemOf(found)
  }

  runtimeDirectory(): string {
    const parent = this.#userRuntimeDirectory()
    const path = parent === undefined ? `/tmp/conclave-${this.uid}` : join(parent, 'conclave')
    this.makeDirectory(path, 0o700)
    const stat = this.stat(path)
    if (stat?.kind !== 'directory') throw unsafe(path, 'is not a directory')
    if (!this.isOurUid(stat.uid)) throw foreign(path, stat.uid, this.uid)
    if ((stat.mode & 0o077) !== 0) {
      throw new ConclaveError(
        'UNSAFE_WORKSPACE',
        `${path} is open to other users (mode ${stat.mode.toString(8)}): run \`chmod 700 ${path}\`.`,
        { data: { path } },
      )
    }
    return path
  }

  /** Absent under cron and in most containers, and another user's after `su` or `sudo -E`: then it is not ours to use. */
  #userRuntimeDirectory(): string | undefined {
    const path = process.env['XDG_RUNTIME_DIR']
    if (path === undefined || !isAbsolute(path)) return undefined
    try {
      const stat = fs.statSync(path, { throwIfNoEntry: false })
      return stat?.isDirectory() === true && stat.uid === this.uid ? path : undefined
    } catch {
      return undefined // It lies where we may not look (another user's home).
    }
  }

  /** A lock file that can't be opened: another user's, or a place where nothing can be written. */
  #lockFailed(path: string, cause: NodeJS.ErrnoException): Error {
    const errno = cause.code
    if (errno === 'EISDIR' || errno === 'ENXIO') return lockRefused(path, 'NOT_A_FILE')
    if (errno === 'ENOTSUP' || errno === 'EOPNOTSUPP' || errno === 'ENOLCK' || errno === 'ENOSYS') {
      return lockRefused(path, 'UNRELIABLE', cause)
    }
    if (errno !== 'EACCES' && errno !== 'EPERM' && errno !== 'EROFS') return cause
    const owner = this.stat(path)?.uid
    if (owner !== undefined && owner !== this.uid) return foreign(path, owner, this.uid, cause)
    return new ConclaveError(
      'WORKSPACE_READ_ONLY',
      `${path} can't be written (${errno}): only observers can join here. Make the folder writable to take part.`,
      { cause, data: { path, errno } },
    )
  }
}

class PosixLock implements Lock {
  readonly path: string
  readonly identity: string
  readonly #handle: LockHandle

  constructor(path: string, handle: LockHandle, identity: string) {
    this.path = path
    this.identity = identity
    this.#handle = handle
  }

  stillOurs(): boolean {
    return native().lockHolds(this.#handle)
  }

  close(): void {
    native().unlock(this.#handle)
  }
}

/** `undefined` when it is absent. Never through a symlink, and never waiting for a FIFO's other end. */
function open(path: string, flags: number): number | undefined {
  try {
    return fs.openSync(path, flags | constants.O_NOFOLLOW)
  } catch (error) {
    const code = errnoCode(error)
    if (code === 'ENOENT') return undefined
    if (code === 'ELOOP') throw unsafe(path, 'is a symbolic link', error)
    throw error
  }
}

function lockRefused(path: string, why: Exclude<LockRefusal, 'BUSY'>, cause?: unknown): ConclaveError {
  switch (why) {
    case 'SYMLINK':
      return unsafe(path, 'is a symbolic link', cause)
    case 'NOT_A_FILE':
      return unsafe(path, 'is not a regular file', cause)
    case 'HARD_LINKED':
      return unsafe(path, 'has a second name (a hard link)', cause)
    case 'NOT_OURS': {
      const uid = fs.lstatSync(path, { throwIfNoEntry: false })?.uid ?? -1
      return foreign(path, uid, process.geteuid?.() ?? -1, cause)
    }
    case 'UNRELIABLE':
      return new ConclaveError(
        'LOCK_UNRELIABLE',
        `The file system of ${path} does not keep locks apart (flock): move the folder to a local disk.`,
        { cause, data: { path } },
      )
  }
}

function unsafe(path: string, what: string, cause?: unknown): ConclaveError {
  return new ConclaveError(
    'UNSAFE_WORKSPACE',
    `${path} ${what}. Nothing of ours makes such a thing: look at it, then remove it.`,
    {
      cause,
      data: { path },
    },
  )
}

function foreign(path: string, owner: number, uid: number, cause?: unknown): ConclaveError {
  const text =
    owner === uid
      ? `${path} shows uid ${owner}, which in this user namespace may be anybody: run with a uid that is mapped (rootless containers: --userns=keep-id).`
      : `${path} belongs to uid ${owner} and this process runs as uid ${uid}: run it as that user (\`sudo -u '#${owner}'\`), or give it over with \`chown -R ${uid} ${path}\`.`
  return new ConclaveError('FOREIGN_WORKSPACE', text, { cause, data: { path, owner, uid } })
}

function errnoCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code
}

function kindOf(stats: BigIntStats): FileStat['kind'] {
  if (stats.isFile()) return 'file'
  if (stats.isDirectory()) return 'directory'
  if (stats.isSymbolicLink()) return 'symlink'
  return stats.isSocket() ? 'socket' : 'other'
}

function bootId(): string | undefined {
  return native().bootId() ?? readSmall('/proc/sys/kernel/random/boot_id')
}

function uidView(euid: number): UidView {
  const overflow = readSmall('/proc/sys/fs/overflowuid')
  const map = readSmall('/proc/self/uid_map')
  if (process.platform === 'darwin') return { euid, overflowUid: undefined, allMapped: true }
  // Without /proc nothing is known: the usual number, and no proof that everybody is mapped.
  return {
    euid,
    overflowUid: overflow === undefined ? 65534 : Number(overflow),
    allMapped: map !== undefined && mapsEveryId(map),
  }
}

function readSmall(path: string): string | undefined {
  try {
    const text = fs.readFileSync(path, 'utf8').trim()
    return text === '' ? undefined : text
  } catch {
    return undefined
  }
}
