import { closeSync, openSync } from 'node:fs'
import { posix as path } from 'node:path'
import { guarded } from '../election/refused.ts'
import { ConclaveError } from '../errors/index.ts'
import type { FileStat, Platform } from '../platform/platform.ts'

/** A database by its real path, before anything of it is opened. */
export interface DatabaseFile {
  readonly path: string
  /** For people: an unknown file system. */
  readonly warnings: readonly ConclaveError[]
}

/** `dev:ino` of the file that the path names now; `undefined` for none. */
export function fileIdentity(platform: Platform, file: string): string | undefined {
  const stat = platform.stat(file)
  return stat?.kind === 'file' ? `${stat.dev}:${stat.ino}` : undefined
}

/**
 * Makes the file for us alone where there is none: SQLite would make it for everybody to read, and gives -wal and -shm its
 * mode. What is there already is never opened (rule A5).
 * @throws the system's error
 */
export function makePrivate(file: string): void {
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/**
 * Resolves what was given as `database.file`. Nothing of the file is opened: a close(2) of ours would drop SQLite's locks
 * (rule A5).
 * @param folder what a relative path is relative to
 * @throws `INVALID_OPTION` (no such folder, a hard link), `LOCK_UNRELIABLE` (a network file system: WAL needs memory that
 * all processes share), `INTERNAL` with the cure where the system refuses to look
 */
export function resolveDatabase(platform: Platform, folder: string, file: string): DatabaseFile {
  if (file === '' || file === ':memory:' || file.startsWith('file:') || file.includes('\0')) {
    throw invalid(
      `database.file must be the path of a file, which several processes can open; not ${JSON.stringify(file)}.`,
    )
  }
  const given = path.isAbsolute(file) ? file : path.join(folder, file)
  return guarded('read', given, () => {
    const stat = platform.stat(given)
    const real =
      stat === undefined
        ? path.join(realDirectory(platform, given), path.basename(given))
        : realFile(platform, given, stat)
    return { path: real, warnings: checkFileSystem(platform, real) }
  })
}

function realDirectory(platform: Platform, file: string): string {
  const directory = path.dirname(file)
  try {
    return platform.realPath(directory)
  } catch (error) {
    throw invalid(`The folder of the database, ${directory}, does not exist: create it first.`, error)
  }
}

function realFile(platform: Platform, given: string, stat: FileStat): string {
  let real: string
  try {
    real = platform.realPath(given)
  } catch (error) {
    throw invalid(
      `${given} is a symbolic link that leads nowhere: create the file it names, or remove the link.`,
      error,
    )
  }
  const target = stat.kind === 'symlink' ? platform.stat(real) : stat
  if (target?.kind !== 'file') throw invalid(`${real} is not a regular file.`)
  if (target.links > 1) {
    throw invalid(
      `${real} has ${target.links} names (hard links). SQLite keeps the WAL by name, so two programs that use two of them destroy the database: keep one name.`,
    )
  }
  return real
}

function checkFileSystem(platform: Platform, real: string): ConclaveError[] {
  const directory = path.dirname(real)
  const { type, kind } = platform.fileSystem(directory)
  if (kind === 'local') return []
  if (kind === 'unknown') {
    const text = `${directory} lies on a file system we do not know (${type}). SQLite's WAL needs memory shared between processes, which network file systems do not have.`
    return [new ConclaveError('LOCK_UNRELIABLE', text, { data: { type, path: real } })]
  }
  const text = `${directory} lies on a network or FUSE file system (${type}), where SQLite's WAL cannot work: it needs memory shared between processes. Set database.file to a path on a local disk; every process of this machine can still use it.`
  throw new ConclaveError('LOCK_UNRELIABLE', text, { data: { type, path: real } })
}

function invalid(text: string, cause?: unknown): ConclaveError {
  return new ConclaveError('INVALID_OPTION', text, { cause })
}
