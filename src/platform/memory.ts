import { posix as paths } from 'node:path'
import { constants } from 'node:os'
import { ConclaveError } from '../errors/index.ts'
import { systemError } from './errors.ts'
import type { FileStat, FileSystem, Lock, Platform } from './platform.ts'

/** A machine in memory: one file tree and one kernel, seen by any number of processes. */
export interface MemoryMachine {
  /** A new process of this machine. */
  process(options?: MemoryProcessOptions): MemoryProcess
  /** What `mv` does, by whoever: processes that hold a file keep it. */
  move(from: string, to: string): void
  /** What `rm -rf` does. */
  erase(path: string): void
}

export interface MemoryProcessOptions {
  /** Default 1000. */
  readonly uid?: number
  /** Default: counted from 1. */
  readonly pid?: number
}

/** A process: a platform that can be killed. Files stay; locks and whatever else it held are gone at once. */
export interface MemoryProcess extends Platform {
  readonly name: 'memory'
  readonly pid: number
  readonly alive: boolean
  /** As SIGKILL: nothing of this process runs any more, and its platform throws `CLOSED`. Idempotent. */
  kill(): void
  /** Called when the process is killed, after its locks are free. @returns how to take it back */
  onKill(release: () => void): () => void

  /** Makes a socket file that stands for `listener`. @throws EADDRINUSE */
  bind(path: string, listener: object): FileStat
  /** What was bound at the path. @throws ENOENT; ECONNREFUSED when it is no socket */
  bound(path: string): object
}

interface Directory {
  readonly kind: 'directory'
  readonly entries: Map<string, Node>
}
interface File {
  readonly kind: 'file'
  content: string
  holder: MemoryLock | undefined
}
interface Socket {
  readonly kind: 'socket'
  readonly listener: object
}
type Node = (Directory | File | Socket) & {
  readonly ino: bigint
  readonly uid: number
  mode: number
  modifiedMs: number
}

type DirectoryNode = Extract<Node, Directory>

/** A machine of its own, with an empty `/tmp`. Fake paths are absolute and have no symlinks. */
export function memoryPlatform(): MemoryMachine {
  return new Machine()
}

class Machine implements MemoryMachine {
  readonly bootId: string = crypto.randomUUID()
  readonly #root: DirectoryNode
  #inodes = 1n
  #processes = 0

  constructor() {
    this.#root = this.#directory(0, 0o755)
    this.#root.entries.set('tmp', this.#directory(0, 0o1777))
  }

  process(options: MemoryProcessOptions = {}): MemoryProcess {
    const pid = options.pid ?? ++this.#processes
    return new Process(this, options.uid ?? 1000, pid)
  }

  move(from: string, to: string): void {
    const node = this.find(from)
    if (node === undefined) throw fail('ENOENT', 'rename', from)
    this.parent(to, 'rename').entries.set(paths.basename(to), node)
    this.erase(from)
  }

  erase(path: string): void {
    if (this.find(path) !== undefined) this.parent(path, 'rm').entries.delete(paths.basename(path))
  }

  find(path: string): Node | undefined {
    let node: Node | undefined = this.#root
    for (const part of parts(path)) {
      node = node?.kind === 'directory' ? node.entries.get(part) : undefined
    }
    return node
  }

  /** The directory a name lies in. */
  parent(path: string, syscall: string): DirectoryNode {
    const node = this.find(paths.dirname(path))
    if (node?.kind === 'directory') return node
    throw fail(node === undefined ? 'ENOENT' : 'ENOTDIR', syscall, path)
  }

  addDirectory(path: string, uid: number, mode: number): void {
    this.parent(path, 'mkdir').entries.set(paths.basename(path), this.#directory(uid, mode))
  }

  addFile(path: string, uid: number, content: string): Extract<Node, File> {
    const file = { kind: 'file' as const, content, holder: undefined, ...this.#inode(uid, 0o600) }
    this.parent(path, 'open').entries.set(paths.basename(path), file)
    return file
  }

  addSocket(path: string, uid: number, listener: object): void {
    this.parent(path, 'bind').entries.set(paths.basename(path), {
      kind: 'socket',
      listener,
      ...this.#inode(uid, 0o600),
    })
  }

  #directory(uid: number, mode: number): DirectoryNode {
    return { kind: 'directory', entries: new Map(), ...this.#inode(uid, mode) }
  }

  #inode(uid: number, mode: number): { ino: bigint; uid: number; mode: number; modifiedMs: number } {
    return { ino: this.#inodes++, uid, mode, modifiedMs: Date.now() }
  }
}

class Process implements MemoryProcess {
  readonly name = 'memory'
  readonly uid: number
  readonly pid: number
  readonly bootId: string
  readonly hostName = 'memory'
  readonly maxSocketPathBytes = 107
  readonly #machine: Machine
  readonly #locks = new Set<MemoryLock>()
  readonly #releases = new Set<() => void>()
  #alive = true

  constructor(machine: Machine, uid: number, pid: number) {
    this.#machine = machine
    this.uid = uid
    this.pid = pid
    this.bootId = machine.bootId
  }

  get alive(): boolean {
    return this.#alive
  }

  kill(): void {
    if (!this.#alive) return
    this.#alive = false
    for (const lock of [...this.#locks]) lock.close()
    for (const release of [...this.#releases]) release()
  }

  onKill(release: () => void): () => void {
    this.#releases.add(release)
    return () => this.#releases.delete(release)
  }

  now(): number {
    return performance.timeOrigin + performance.now()
  }

  isOurUid(uid: number): boolean {
    return uid === this.uid
  }

  tryLock(path: string): Lock | undefined {
    const machine = this.#running()
    const file = machine.find(path) ?? machine.addFile(path, this.uid, '')
    if (file.kind !== 'file') throw new ConclaveError('UNSAFE_WORKSPACE', `${path} is not a regular file: remove it.`)
    if (file.uid !== this.uid) throw foreign(path, file.uid)
    if (file.holder !== undefined) return undefined
    const holds = (): boolean => machine.find(path) === file && file.holder === lock
    const lock = new MemoryLock(path, `1:${file.ino}`, holds, () => {
      file.holder = undefined
      this.#locks.delete(lock)
    })
    file.holder = lock
    this.#locks.add(lock)
    return lock
  }

  stat(path: string): FileStat | undefined {
    const node = this.#running().find(path)
    if (node === undefined) return undefined
    const { kind, ino, uid, mode, modifiedMs } = node
    return { kind, dev: 1n, ino, uid, mode, links: kind === 'directory' ? 2 : 1, modifiedMs }
  }

  makeDirectory(path: string, mode: number): void {
    const machine = this.#running()
    if (machine.find(path) === undefined) machine.addDirectory(path, this.uid, mode)
  }

  readFile(path: string, maxBytes: number): string | undefined {
    const file = this.#running().find(path)
    if (file === undefined) return undefined
    if (file.kind !== 'file') throw new ConclaveError('UNSAFE_WORKSPACE', `${path} is not a regular file: remove it.`)
    if (Buffer.byteLength(file.content) > maxBytes) {
      throw new ConclaveError(
        'TOO_LARGE',
        `${path} has more than ${maxBytes} bytes; it should be a small file of ours.`,
      )
    }
    return file.content
  }

  replaceFile(path: string, content: string): void {
    const machine = this.#running()
    if (machine.find(path)?.kind === 'directory') throw fail('EISDIR', 'rename', path)
    machine.addFile(path, this.uid, content)
  }

  syncFile(path: string): Promise<void> {
    return this.stat(path) === undefined ? Promise.reject(fail('ENOENT', 'open', path)) : Promise.resolve()
  }

  remove(path: string): void {
    const machine = this.#running()
    if (machine.find(path)?.kind === 'directory') throw fail('EISDIR', 'unlink', path)
    machine.erase(path)
  }

  list(directory: string): string[] {
    const node = this.#running().find(directory)
    if (node?.kind !== 'directory') throw fail(node === undefined ? 'ENOENT' : 'ENOTDIR', 'scandir', directory)
    return [...node.entries.keys()]
  }

  realPath(path: string): string {
    const real = paths.resolve('/', path)
    if (this.#running().find(real) === undefined) throw fail('ENOENT', 'realpath', path)
    return real
  }

  fileSystem(): FileSystem {
    return { type: 'memory', kind: 'local' }
  }

  runtimeDirectory(): string {
    const path = `/tmp/conclave-${this.uid}`
    this.makeDirectory(path, 0o700)
    const stat = this.stat(path)
    if (stat?.kind !== 'directory')
      throw new ConclaveError('UNSAFE_WORKSPACE', `${path} is not a directory: remove it.`)
    if (stat.uid !== this.uid) throw foreign(path, stat.uid)
    return path
  }

  bind(path: string, listener: object): FileStat {
    const machine = this.#running()
    if (machine.find(path) !== undefined) throw fail('EADDRINUSE', 'bind', path)
    machine.addSocket(path, this.uid, listener)
    return this.stat(path) as FileStat
  }

  bound(path: string): object {
    const node = this.#running().find(path)
    if (node?.kind === 'socket') return node.listener
    throw fail(node === undefined ? 'ENOENT' : 'ECONNREFUSED', 'connect', path)
  }

  #running(): Machine {
    if (this.#alive) return this.#machine
    throw new ConclaveError('CLOSED', 'This process of the memory platform was killed.')
  }
}

class MemoryLock implements Lock {
  readonly path: string
  readonly identity: string
  readonly #holds: () => boolean
  readonly #release: () => void
  #open = true

  constructor(path: string, identity: string, holds: () => boolean, release: () => void) {
    this.path = path
    this.identity = identity
    this.#holds = holds
    this.#release = release
  }

  stillOurs(): boolean {
    return this.#open && this.#holds()
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#release()
  }
}

function parts(path: string): string[] {
  return paths
    .normalize(path)
    .split('/')
    .filter((part) => part !== '' && part !== '.')
}

function fail(
  code: 'ENOENT' | 'ENOTDIR' | 'EISDIR' | 'EADDRINUSE' | 'ECONNREFUSED',
  syscall: string,
  path: string,
): Error {
  return systemError(-constants.errno[code], syscall, path)
}

function foreign(path: string, owner: number): ConclaveError {
  return new ConclaveError(
    'FOREIGN_WORKSPACE',
    `${path} belongs to uid ${owner}: run it as that user, or \`chown\` it.`,
    {
      data: { path, owner },
    },
  )
}
