/**
 * The porting contract: everything the rooms above need from an operating system that Node does not give in the form
 * they need. One object holds it, chosen in one place and passed down, so that tests inject faults and
 * `conclave/testing` runs without files. File calls are synchronous on purpose: between taking the lock and announcing
 * the primary nothing else may run.
 */
export interface Platform {
  readonly name: 'posix' | 'memory'
  /** Effective user id. */
  readonly uid: number
  /** Changes with each boot of the machine; `undefined` where the system does not tell. */
  readonly bootId: string | undefined
  readonly hostName: string
  /** CLOCK_MONOTONIC in milliseconds: the same clock in every process of this machine. */
  now(): number
  /**
   * Whether a uid that the kernel names as a peer's or an owner's is ours for certain; false for the overflow uid of a
   * user namespace that does not map everybody (rule B18).
   */
  isOurUid(uid: number): boolean

  /**
   * Opens and locks a regular file of ours (flock(2), LOCK_EX | LOCK_NB), creating it 0600.
   * @returns `undefined` while another descriptor holds it
   * @throws `UNSAFE_WORKSPACE` for a symlink, a FIFO, a hard-linked file; `FOREIGN_WORKSPACE` for another user's;
   * `LOCK_UNRELIABLE` when a second descriptor gets the lock too; `WORKSPACE_READ_ONLY`
   */
  tryLock(path: string): Lock | undefined

  /** lstat(2); `undefined` when nothing is there. */
  stat(path: string): FileStat | undefined
  /** mkdir(2), one level; nothing happens when it exists. @throws the system's error */
  makeDirectory(path: string, mode: number): void
  /** Text of a regular file, not through a symlink. @returns `undefined` when it is absent; @throws when over `maxBytes` */
  readFile(path: string, maxBytes: number): string | undefined
  /** A temporary file beside it, then rename(2): readers see the old or the new content, never a part. Mode 0600. */
  replaceFile(path: string, content: string): void
  /** fsync(2) of a file and of its directory, off the main thread. */
  syncFile(path: string): Promise<void>
  /** unlink(2); nothing happens when it is absent. */
  remove(path: string): void
  list(directory: string): string[]
  /** The real path of a folder that exists. @throws the system's error */
  realPath(path: string): string
  /** The type of the file system that holds the path, as far as it is known. */
  fileSystem(path: string): FileSystem

  /**
   * The short per-user directory for sockets: `$XDG_RUNTIME_DIR/conclave`, else `/tmp/conclave-<uid>`; made 0700.
   * @throws `FOREIGN_WORKSPACE` when it is another user's, `UNSAFE_WORKSPACE` when it is a symlink or open to others
   */
  runtimeDirectory(): string
  /** Longest socket path in bytes, without the NUL: 107 on Linux, 103 on macOS. */
  readonly maxSocketPathBytes: number
}

export interface FileStat {
  readonly kind: 'file' | 'directory' | 'symlink' | 'socket' | 'other'
  readonly dev: bigint
  readonly ino: bigint
  readonly uid: number
  /** Permission bits only. */
  readonly mode: number
  readonly links: number
  readonly modifiedMs: number
}

export interface FileSystem {
  readonly type: string
  /** `unknown` types warn; `network` types are refused for locks between hosts. */
  readonly kind: 'local' | 'network' | 'unknown'
}

/** A held kernel lock. It is held by an open descriptor that nothing else in the process can close. */
export interface Lock {
  readonly path: string
  /** `dev:ino` of the locked file, as fstat(2) sees it: the identity of the workspace. */
  readonly identity: string
  /** False once the path no longer names the locked file (deleted, replaced, moved). About a microsecond. */
  stillOurs(): boolean
  /** Idempotent. Never unlinks. */
  close(): void
}
