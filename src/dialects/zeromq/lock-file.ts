import { randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { join, resolve } from 'node:path'
import { asError, ConclaveError } from '../../errors/index.ts'
import { errnoOf } from '../../election/files.ts'
import { posixPlatform, type Lock, type Platform } from '../../platform/index.ts'
import { pause } from '../shared/abort.ts'
import { privateDirectory } from '../shared/place.ts'
import { timestampOf } from './envelope.ts'
import { LOCK_RETRY_MS, LOCK_SETTLE_MS, MAX_LOCK_FILE_BYTES } from './limits.ts'
import { decodeLockInfo, encodeLockInfo, type LockInfo } from './lock-info.ts'
import type { BusAddress } from './ports.ts'

export interface LockPlace {
  /** Folder of the lock file, relative to the directory. Default `.pando`, as existing programs have it. */
  readonly folder?: string | undefined
  /** Its name. Default `ipc.lock`. */
  readonly file?: string | undefined
}

export interface AcquireOptions extends LockPlace {
  /** Where the bus will be, when not on TCP at the two ports. */
  readonly address?: BusAddress | undefined
  /** True: `PRIMARY_EXISTS` instead of the role of a secondary. Default false. */
  readonly must?: boolean | undefined
  /** How long a held lock whose file names nobody alive is looked at again. Default 2 s. */
  readonly settleMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Whether this process is the primary of the directory, and who is. */
export type Acquired =
  | { readonly isPrimary: true; readonly info: LockInfo; readonly lock: BusLock }
  | { readonly isPrimary: false; readonly info: LockInfo; readonly lock: undefined }

/** The lock of the file that has the name, and that of the one that had it before. */
type Locks = readonly [Lock, Lock?]

/** The held lock of a directory. The name is never without a file: who deletes it lets two others each hold one of their own. */
export class BusLock implements Disposable {
  readonly path: string
  readonly info: LockInfo
  readonly #platform: Platform
  readonly #locks: Locks
  #closed = false

  /** Use `acquireLock`. */
  constructor(path: string, info: LockInfo, platform: Platform, locks: Locks) {
    this.path = path
    this.info = info
    this.#platform = platform
    this.#locks = locks
  }

  /** False once the path no longer names the locked file, or after `close`. */
  stillOurs(): boolean {
    return !this.#closed && identityAt(this.#platform, this.path) === this.#locks[0].identity
  }

  /** The next one can have it. Idempotent. */
  close(): void {
    if (this.stillOurs()) forgetOwner(this.path, this.info, this.#locks[0].identity)
    this.#closed = true
    for (const lock of this.#locks) lock?.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}

/**
 * Takes the lock of a directory (flock(2), not waiting), or tells who has it. Whoever sees it held sees complete content:
 * a file gets its name only when it is locked and written.
 * @param pubPort the TCP ports of the bus, 0 without any: `portsForPath(workdir)` has the usual ones
 * @throws `PRIMARY_EXISTS` (`must`), `PRIMARY_STARTING` (held, and the file names nobody alive), `FOREIGN_WORKSPACE`,
 * `UNSAFE_WORKSPACE`, `WORKSPACE_READ_ONLY`, `LOCK_UNRELIABLE`, `ABORTED`
 */
export async function acquireLock(
  workdir: string,
  instanceId: string,
  pubPort: number,
  rpcPort: number,
  options: AcquireOptions = {},
): Promise<Acquired> {
  const platform = posixPlatform()
  const path = lockPath(workdir, options)
  privateDirectory(platform, join(path, '..'))
  const startedAt = timestampOf(Date.now())
  const info: LockInfo = { instanceId, pid: process.pid, pubPort, rpcPort, startedAt, address: options.address }
  const content = encodeLockInfo(info)
  const endMs = performance.now() + (options.settleMs ?? LOCK_SETTLE_MS)
  for (;;) {
    // Looked at before: a process that stood still tries once more.
    const late = performance.now() >= endMs
    const taken = await take(platform, path, content)
    if (typeof taken === 'object') return { isPrimary: true, info, lock: new BusLock(path, info, platform, taken) }
    if (taken === 'held') {
      const found = readLockFile(platform, path)
      if (found !== undefined && isAlive(found.pid)) {
        if (options.must !== true) return { isPrimary: false, info: found, lock: undefined }
        throw new ConclaveError(
          'PRIMARY_EXISTS',
          `Process ${found.pid} (${found.instanceId}) is the primary of ${workdir}: stop it, or be a secondary.`,
          { data: found },
        )
      }
    }
    if (late) {
      throw new ConclaveError(
        'PRIMARY_STARTING',
        `Somebody holds ${path}, and it names no process that is alive: try again in a moment.`,
        { data: { path } },
      )
    }
    await pause(LOCK_RETRY_MS, options.signal)
  }
}

/** The same as `lock.close()`. The file stays. */
export function releaseLock(lock: BusLock): void {
  lock.close()
}

/** What the lock file of a directory says of its primary, held or not: one that was killed leaves its words behind. */
export function readLock(workdir: string, place: LockPlace = {}): LockInfo | undefined {
  const info = readLockFile(posixPlatform(), lockPath(workdir, place))
  return info === undefined || info.pid === 0 ? undefined : info
}

function lockPath(workdir: string, { folder = '.pando', file = 'ipc.lock' }: LockPlace): string {
  if (file === '' || file.includes('/')) {
    throw new ConclaveError('INVALID_OPTION', `"${file}" is no file name: the lock file lies in its folder.`)
  }
  return join(resolve(workdir, folder), file)
}

function readLockFile(platform: Platform, path: string): LockInfo | undefined {
  const text = platform.readFile(path, MAX_LOCK_FILE_BYTES)
  return text === undefined ? undefined : decodeLockInfo(text)
}

/** `held` by somebody; `again`: it changed under our hands. */
async function take(platform: Platform, path: string, content: string): Promise<Locks | 'held' | 'again'> {
  const before = platform.stat(path)
  if (before === undefined) return create(platform, path, content)
  if (before.kind === 'file' && before.links > 1) forgetTemporary(platform, path, before.ino)
  let lock: Lock | undefined
  try {
    lock = platform.tryLock(path)
  } catch (error) {
    // Somebody is just giving the file its name (`create`): for that moment it has two.
    if (ConclaveError.is(error, 'UNSAFE_WORKSPACE') && platform.stat(path)?.links === 2) return 'again'
    throw error
  }
  if (lock === undefined) return 'held'
  let taken: Locks | undefined
  try {
    taken = await replace(platform, path, content, lock)
    return taken ?? 'again'
  } finally {
    if (taken === undefined) lock.close()
  }
}

/** A locked file with its content, and no name yet that anybody knows. */
function prepare(
  platform: Platform,
  path: string,
  content: string,
): { readonly temporary: string; readonly lock: Lock } {
  const temporary = `${path}.${randomBytes(6).toString('hex')}.tmp`
  fs.writeFileSync(temporary, content, { mode: 0o600, flag: 'wx' })
  try {
    const lock = platform.tryLock(temporary)
    if (lock !== undefined) return { temporary, lock }
    throw new ConclaveError('INTERNAL', `A file of our own is locked: ${temporary}.`)
  } catch (error) {
    platform.remove(temporary)
    throw error
  }
}

/** The first file of its name: link(2) gives a name only where there is none. */
function create(platform: Platform, path: string, content: string): Locks | 'again' {
  const { temporary, lock } = prepare(platform, path, content)
  try {
    fs.linkSync(temporary, path)
    return [lock]
  } catch (error) {
    lock.close()
    if (errnoOf(error) === 'EEXIST') return 'again'
    throw asError(error)
  } finally {
    platform.remove(temporary)
  }
}

/**
 * Puts a locked file with new content in the place of the one that is locked already, which stays locked beside it: who has
 * that one open gets neither. (Writing into a file that others read shows them halves: seen, on ext4.)
 * @returns `undefined` when the path no longer names what is locked
 */
async function replace(platform: Platform, path: string, content: string, held: Lock): Promise<Locks | undefined> {
  // An existing program deletes its file right after it has unlocked it. What is still there after a moment stays.
  if (held.identity !== identityAt(platform, path)) return undefined
  await pause(LOCK_RETRY_MS, undefined)
  const { temporary, lock } = prepare(platform, path, content)
  try {
    if (held.identity !== identityAt(platform, path)) {
      lock.close()
      return undefined
    }
    fs.renameSync(temporary, path)
    return [lock, held]
  } finally {
    platform.remove(temporary)
  }
}

/** What a process that died between its two steps of `create` left behind. */
function forgetTemporary(platform: Platform, path: string, ino: bigint): void {
  const folder = join(path, '..')
  const begin = path.slice(folder.length + 1)
  for (const name of platform.list(folder)) {
    if (!name.startsWith(`${begin}.`) || !name.endsWith('.tmp')) continue
    const file = join(folder, name)
    if (platform.stat(file)?.ino === ino) platform.remove(file)
  }
}

/**
 * Who takes the lock next has it for a moment before the file says so: until then it names process 0, which nobody takes for
 * alive. Blanks in front of the 0 keep the length, so nobody reads a half.
 */
function forgetOwner(path: string, info: LockInfo, identity: string): void {
  const content = encodeLockInfo(info)
  const pid = String(info.pid)
  const at = Buffer.byteLength(content.slice(0, content.indexOf('"pid": ') + '"pid": '.length))
  try {
    const file = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_NOFOLLOW)
    try {
      const { dev, ino } = fs.fstatSync(file, { bigint: true })
      if (`${dev}:${ino}` === identity) fs.writeSync(file, '0'.padStart(pid.length), at)
    } finally {
      fs.closeSync(file)
    }
  } catch {
    // The next one is only read a moment too early.
  }
}

function identityAt(platform: Platform, path: string): string | undefined {
  const stat = platform.stat(path)
  return stat === undefined ? undefined : `${stat.dev}:${stat.ino}`
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return true
  try {
    process.kill(pid, 0)
    return pid > 0
  } catch (error) {
    return errnoOf(error) === 'EPERM'
  }
}
