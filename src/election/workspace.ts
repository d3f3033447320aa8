import { posix as path } from 'node:path'
import { ConclaveError } from '../errors/index.ts'
import type { FileStat, Platform } from '../platform/platform.ts'
import { errnoOf, identityOf } from './files.ts'
import { guarded } from './refused.ts'

const FOLDER = '.conclave'
const APP = /^[a-z0-9_-][a-z0-9._-]{0,63}$/
/** What lies in `.conclave` itself when no app is named. */
const RESERVED = /^(lock|term|primary\.json|profile\.json|data\.db.*|log\.db.*)$/

export interface WorkspaceOptions {
  /** `[a-z0-9._-]`, 1 to 64, no leading dot, and none of the names that lie in `.conclave` itself. */
  readonly app?: string | undefined
}

export interface OpenOptions extends WorkspaceOptions {
  /** Whether a missing `.conclave` is made; observers and those who never stand give false. */
  readonly create: boolean
}

/**
 * A folder in which processes meet. Its lock file is its identity (rule B3); the path is a label.
 * A workspace opened with `create: false` may not exist yet: `verify()` tells.
 */
export class Workspace {
  readonly platform: Platform
  /** Real path at the time it was opened. A label: bind mounts and renames give one workspace several. */
  readonly folder: string
  readonly app: string | undefined
  /** `<folder>/.conclave`, or `<folder>/.conclave/<app>`: where lock, term and announcement lie. */
  readonly directory: string
  readonly lockPath: string
  /** For people: the folder, and the app if there is one. */
  readonly label: string
  readonly create: boolean
  /** What does not prevent joining but should be said: an unknown file system, root in somebody's folder. */
  readonly warnings: readonly ConclaveError[]

  /** Use `openWorkspace`. */
  constructor(platform: Platform, folder: string, options: OpenOptions) {
    const { app, create } = options
    if (app !== undefined && !isAppName(app)) {
      throw new ConclaveError(
        'INVALID_OPTION',
        `"${app}" cannot be an app name: use 1 to 64 of a-z, 0-9, ".", "_", "-", no leading dot, and none of the names of our own files (lock, term, data.db, ...).`,
      )
    }
    this.platform = platform
    this.folder = realFolder(platform, folder)
    this.app = app
    this.directory = path.join(this.folder, FOLDER, app ?? '')
    this.lockPath = path.join(this.directory, 'lock')
    this.label = app === undefined ? this.folder : `${this.folder} (${app})`
    this.create = create
    this.warnings = guarded('read', this.folder, () =>
      create ? [...fileSystemWarnings(platform, this.folder), ...this.#ownerWarnings()] : [],
    )
  }

  /**
   * Looks at the directories without changing anything. A few microseconds.
   * @returns false while the workspace does not exist
   * @throws `UNSAFE_WORKSPACE`, `FOREIGN_WORKSPACE` (rules B4, B18), `INTERNAL` when they cannot be looked at
   */
  verify(): boolean {
    return guarded('read', this.directory, () => this.#levels().every((level) => this.#verifyLevel(level)))
  }

  /**
   * Makes what is missing: the directories, 0700, and `.conclave/.gitignore`. Idempotent.
   * @throws what `verify` throws, and `WORKSPACE_READ_ONLY`
   */
  prepare(): void {
    guarded('write', this.directory, () => {
      for (const level of this.#levels()) {
        this.platform.makeDirectory(level, 0o700)
        // Before anything is made inside: it may be a symlink.
        if (!this.#verifyLevel(level))
          throw new ConclaveError('WORKSPACE_MOVED', `${level} was deleted as it was made.`)
      }
      const ignore = path.join(this.folder, FOLDER, '.gitignore')
      if (this.platform.stat(ignore) === undefined) this.platform.replaceFile(ignore, '*\n')
    })
  }

  /**
   * `dev:ino` of the lock file the path names now; `undefined` when there is none. Does not touch the lock.
   * @throws `INTERNAL` when it cannot be looked at
   */
  identity(): string | undefined {
    const stat = guarded('read', this.lockPath, () => this.platform.stat(this.lockPath))
    return stat?.kind === 'file' ? identityOf(stat) : undefined
  }

  #verifyLevel(level: string): boolean {
    const stat = this.platform.stat(level)
    if (stat !== undefined) refuseUnsafe(this.platform, level, stat)
    return stat !== undefined
  }

  #levels(): string[] {
    const top = path.join(this.folder, FOLDER)
    return this.app === undefined ? [top] : [top, this.directory]
  }

  #ownerWarnings(): ConclaveError[] {
    const { platform, folder } = this
    const owner = platform.stat(folder)?.uid
    if (platform.uid !== 0 || owner === 0 || platform.stat(path.join(folder, FOLDER)) !== undefined) return []
    const text = `root creates ${path.join(folder, FOLDER)} in a folder of uid ${owner}, who will be refused there from now on. Run it as that user (sudo -u '#${owner}'), or hand it over afterwards (chown -R ${owner} ${path.join(folder, FOLDER)}).`
    return [new ConclaveError('FOREIGN_WORKSPACE', text)]
  }
}

/**
 * Opens a folder as a workspace; with `create`, makes what is missing.
 * @throws `INVALID_OPTION` (no such folder, bad app name), `UNSAFE_WORKSPACE`, `FOREIGN_WORKSPACE`,
 * `WORKSPACE_READ_ONLY`, `LOCK_UNRELIABLE` (a network file system)
 */
export function openWorkspace(platform: Platform, folder: string, options: OpenOptions): Workspace {
  const workspace = new Workspace(platform, folder, options)
  if (options.create) workspace.prepare()
  else workspace.verify()
  return workspace
}

/** The nearest folder, from `from` upwards, that is a workspace of ours: as git finds its repository. */
export function findWorkspace(platform: Platform, from: string, options: WorkspaceOptions = {}): string | undefined {
  for (let at = realFolder(platform, from); ; at = path.dirname(at)) {
    if (isWorkspace(platform, at, options)) return at
    if (at === path.dirname(at)) return undefined
  }
}

export function isAppName(app: string): boolean {
  return APP.test(app) && !RESERVED.test(app)
}

/** Somebody else's `.conclave` further up (in /tmp, say) is not ours to find. */
function isWorkspace(platform: Platform, folder: string, options: WorkspaceOptions): boolean {
  const workspace = new Workspace(platform, folder, { ...options, create: false })
  try {
    return workspace.verify() && workspace.identity() !== undefined
  } catch {
    return false
  }
}

function realFolder(platform: Platform, folder: string): string {
  let real: string
  try {
    real = platform.realPath(folder)
  } catch (error) {
    const text = `${folder} cannot be a workspace: ${errnoOf(error) === 'ENOENT' ? 'there is no such folder. Create it first' : 'its real path could not be found'}.`
    throw new ConclaveError('INVALID_OPTION', text, { cause: error })
  }
  if (guarded('read', real, () => platform.stat(real))?.kind !== 'directory') {
    throw new ConclaveError('INVALID_OPTION', `${folder} cannot be a workspace: it is not a folder.`)
  }
  return real
}

/**
 * Loose permissions are refused, not repaired: a `.conclave` that came with a cloned repository or an archive looks just
 * like that (0755), and so does one that others could write to. What was planted there survives a chmod; only the
 * user knows whether to trust it.
 */
function refuseUnsafe(platform: Platform, directory: string, stat: FileStat): void {
  if (stat.kind !== 'directory') {
    const kind = stat.kind === 'symlink' ? 'a symbolic link' : 'not a directory'
    const text = `${directory} is ${kind}. We use a real directory only; remove it, and it will be made anew.`
    throw new ConclaveError('UNSAFE_WORKSPACE', text)
  }
  if (!platform.isOurUid(stat.uid)) {
    const text = `${directory} belongs to uid ${stat.uid}, this process runs as uid ${platform.uid}. Run it as its owner (sudo -u '#${stat.uid}' ...), or make it yours (sudo chown -R ${platform.uid} ${directory}).`
    throw new ConclaveError('FOREIGN_WORKSPACE', text, { data: { uid: stat.uid } })
  }
  if ((stat.mode & 0o077) !== 0) {
    const mode = stat.mode.toString(8)
    const text = `${directory} is open to others (mode ${mode}). If it came with a repository or an archive, delete it; if it is your own, chmod 700 ${directory}. (Where chmod has no effect, as on a FAT or Windows drive, use another folder.)`
    throw new ConclaveError('UNSAFE_WORKSPACE', text, { data: { mode } })
  }
}

/** Rule C6: the type of the file system decides; the lock's self-test only refuses. */
function fileSystemWarnings(platform: Platform, folder: string): ConclaveError[] {
  const { type, kind } = platform.fileSystem(folder)
  if (kind === 'local') return []
  if (kind === 'unknown') {
    const text = `${folder} lies on a file system we do not know (${type}). If several machines or virtual machines share it, each may elect a primary of its own.`
    return [new ConclaveError('LOCK_UNRELIABLE', text, { data: { type } })]
  }
  const text = `${folder} lies on a network file system (${type}), where two machines could hold the lock at once. Use a folder on a local disk.`
  throw new ConclaveError('LOCK_UNRELIABLE', text, { data: { type } })
}
