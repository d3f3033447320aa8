/**
 * The platform room with a machine that fails: every system call it makes, through `node:fs` or through the addon, is
 * counted by its kind, and the n-th of a kind fails as the kernel would let it fail. The wrapping is below
 * `posixPlatform()`, so what that room does with an error is under test as well.
 */
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { constants } from 'node:os'
import { native, NATIVE_EVENT, WATCH, type Native, type SocketHandle } from '../../src/platform/native.ts'
import { systemError } from '../../src/platform/errors.ts'

export type Errno = keyof typeof constants.errno

/** What may go wrong with each kind of call; `SHORT`: it does a part of what it was asked. */
export const KINDS = {
  lstat: ['EIO', 'EACCES', 'ENOENT', 'ENOMEM'],
  stat: ['EIO', 'EACCES'],
  mkdir: ['ENOSPC', 'EPERM', 'EIO', 'ENOENT'],
  open: ['EMFILE', 'ENFILE', 'EIO', 'ENOENT', 'EACCES'],
  fstat: ['EIO'],
  read: ['EIO', 'SHORT'],
  close: ['EIO'],
  write: ['ENOSPC', 'EIO', 'EMFILE', 'EPERM', 'SHORT'],
  rename: ['ENOSPC', 'EIO', 'EPERM', 'ENOENT'],
  unlink: ['EIO', 'EPERM', 'ENOENT'],
  readdir: ['EMFILE', 'EIO', 'ENOENT'],
  realpath: ['EIO', 'EACCES', 'ENOENT'],
  fsync: ['EIO', 'ENOSPC', 'EMFILE'],
  statfs: ['EIO'],
  flock: ['EMFILE', 'EIO', 'ENOLCK', 'ENOSPC', 'EPERM', 'ENOENT'],
  /** The look at the lock's path, once taken: what fails there counts as lost. */
  holds: ['EIO'],
  listen: ['EMFILE', 'ENOSPC', 'EADDRINUSE', 'EACCES', 'ENOENT'],
  connect: ['EMFILE', 'EAGAIN', 'ECONNREFUSED', 'ENOENT', 'EACCES'],
  accept: ['EMFILE', 'ECONNABORTED', 'ENFILE'],
  peer: ['EINVAL'],
  send: ['EPIPE', 'EAGAIN', 'ENOBUFS', 'SHORT'],
  receive: ['ECONNRESET', 'EIO'],
  shutdown: ['ENOTCONN'],
} as const satisfies Readonly<Record<string, readonly (Errno | 'SHORT')[]>>

export type Kind = keyof typeof KINDS
export type Fault = Errno | 'SHORT'

export interface Plan {
  /** Calls of these kinds are counted together. */
  readonly kinds: readonly Kind[]
  /** From 1. */
  readonly at: number
  readonly fault: Fault
  /** For how long the following ones fail too: a disk that stays full. Default 0: none of them. */
  readonly forMs?: number
}

type AnyFunction = (...args: never[]) => unknown
type Patched = [object: Record<string, AnyFunction>, name: string, before: AnyFunction]

/** Counts calls below one directory, and lets some of them fail. One at a time in a process; dispose it. */
export class FaultyPlatform implements Disposable {
  /** How many calls have failed. */
  hits = 0
  readonly #root: string
  readonly #patched: Patched[] = []
  #plan: Plan | undefined
  #count = 0
  #until = 0

  /** @param root calls on paths elsewhere (Node's own, the runner's) are left alone */
  constructor(root: string) {
    this.#root = root
    this.#wrapFiles()
    this.#wrapAddon(native())
    syncBuiltinESMExports()
  }

  /** Begins to count anew. */
  plan(plan: Plan | undefined): void {
    this.#plan = plan
    this.hits = this.#count = 0
  }

  [Symbol.dispose](): void {
    for (const [object, name, before] of this.#patched.reverse()) object[name] = before
    syncBuiltinESMExports()
  }

  /** Counts a call. @returns what it is to fail with */
  #next(kind: Kind): Fault | undefined {
    const plan = this.#plan
    if (plan?.kinds.includes(kind) !== true) return undefined
    const count = ++this.#count
    if (count === plan.at) this.#until = performance.now() + (plan.forMs ?? 0)
    else if (count < plan.at || performance.now() > this.#until) return undefined
    this.hits++
    return plan.fault
  }

  #wrap(object: object, name: string, wrapper: (before: AnyFunction) => AnyFunction): void {
    const methods = object as Record<string, AnyFunction>
    const before = methods[name]!
    this.#patched.push([methods, name, before])
    methods[name] = wrapper(before)
  }

  #wrapFiles(): void {
    const paths: readonly [name: string, kind: Kind][] = [
      ['lstatSync', 'lstat'],
      ['statSync', 'stat'],
      ['mkdirSync', 'mkdir'],
      ['openSync', 'open'],
      ['renameSync', 'rename'],
      ['unlinkSync', 'unlink'],
      ['rmSync', 'unlink'],
      ['readdirSync', 'readdir'],
    ]
    const descriptors = new Set<unknown>()
    const onPath = (kind: Kind, before: AnyFunction) =>
      ((path: string, ...rest: never[]): unknown => {
        if (!this.#isOurs(path)) return (before as (...args: unknown[]) => unknown)(path, ...rest)
        const fault = this.#next(kind)
        if (fault !== undefined) return failed(fault, kind, path, rest.at(-1))
        const result = (before as (...args: unknown[]) => unknown)(path, ...rest)
        if (kind === 'open') descriptors.add(result)
        return result
      }) as AnyFunction
    for (const [name, kind] of paths) this.#wrap(fs, name, (before) => onPath(kind, before))
    this.#wrap(fs.realpathSync, 'native', (before) => onPath('realpath', before))
    this.#wrap(fs, 'writeFileSync', (before) => this.#write(before as typeof fs.writeFileSync) as AnyFunction)
    this.#wrap(
      fs,
      'fstatSync',
      (before) =>
        ((fd: number, ...rest: never[]) => {
          const fault = descriptors.has(fd) ? this.#next('fstat') : undefined
          if (fault !== undefined) throw systemError(errnoOf(fault), 'fstat', String(fd))
          return (before as (...args: unknown[]) => unknown)(fd, ...rest)
        }) as AnyFunction,
    )
    this.#wrap(
      fs,
      'readSync',
      (before) =>
        ((fd: number, bytes: Uint8Array, offset: number, length: number, at: null) => {
          const fault = descriptors.has(fd) ? this.#next('read') : undefined
          if (fault !== undefined && fault !== 'SHORT') throw systemError(errnoOf(fault), 'read', String(fd))
          const read = before as unknown as typeof fs.readSync
          return read(fd, bytes, offset, fault === 'SHORT' ? Math.min(1, length) : length, at)
        }) as AnyFunction,
    )
    this.#wrap(
      fs,
      'closeSync',
      (before) =>
        ((fd: number) => {
          const fault = descriptors.delete(fd) ? this.#next('close') : undefined
          ;(before as unknown as typeof fs.closeSync)(fd)
          // The descriptor is gone all the same, as on Linux.
          if (fault !== undefined) throw systemError(errnoOf(fault), 'close', String(fd))
        }) as AnyFunction,
    )
    this.#wrap(
      fs.promises,
      'open',
      (before) =>
        (async (path: string, ...rest: never[]) => {
          const open = before as unknown as (...args: unknown[]) => Promise<fs.promises.FileHandle>
          const fault = this.#isOurs(path) ? this.#next('fsync') : undefined
          if (fault === 'EMFILE') throw systemError(errnoOf(fault), 'open', path)
          const handle = await open(path, ...rest)
          if (fault !== undefined) handle.sync = () => Promise.reject(systemError(errnoOf(fault), 'fsync', path))
          return handle
        }) as AnyFunction,
    )
  }

  #write(before: typeof fs.writeFileSync): AnyFunction {
    return ((path: string, content: string, options: fs.WriteFileOptions) => {
      const fault = this.#isOurs(path) ? this.#next('write') : undefined
      if (fault === undefined) return before(path, content, options)
      if (fault === 'EMFILE' || fault === 'EPERM') throw systemError(errnoOf(fault), 'open', path)
      // What was written before the disk was full stays.
      before(path, content.slice(0, content.length / 2), options)
      throw systemError(errnoOf(fault === 'SHORT' ? 'ENOSPC' : fault), 'write', path)
    }) as AnyFunction
  }

  #wrapAddon(addon: Native): void {
    const refuse = (name: keyof Native, kind: Kind): void =>
      this.#wrap(
        addon,
        name,
        (before) =>
          ((...args: never[]) => {
            const fault = this.#next(kind)
            return fault === undefined ? before(...args) : -constants.errno[errnoName(fault)]
          }) as AnyFunction,
      )
    const shutdown = addon.shutdown.bind(addon)
    refuse('tryLock', 'flock')
    refuse('fileSystemType', 'statfs')
    refuse('listen', 'listen')
    refuse('connect', 'connect')
    refuse('peer', 'peer')
    refuse('shutdown', 'shutdown')
    this.#wrap(
      addon,
      'lockHolds',
      (before) => ((lock: never) => this.#next('holds') === undefined && before(lock)) as AnyFunction,
    )
    this.#wrap(
      addon,
      'send',
      (before) =>
        ((handle: SocketHandle, bytes: Uint8Array, start: number, end: number) => {
          const send = before as unknown as Native['send']
          const fault = this.#next('send')
          if (fault === undefined) return send(handle, bytes, start, end)
          if (fault === 'SHORT') return send(handle, bytes, start, start + Math.max(1, (end - start) >> 1))
          if (fault === 'EPIPE') shutdown(handle) // the peer is gone, so that there is an end to read as well
          return -constants.errno[fault]
        }) as AnyFunction,
    )
    this.#wrapEvents(addon)
  }

  #wrapEvents(addon: Native): void {
    type Callback = (event: number, value: SocketHandle | number) => void
    /** Connections whose accept failed: the kernel keeps them until the next one. */
    const waiting = new Map<SocketHandle, () => void>()
    this.#wrap(
      addon,
      'start',
      (before) =>
        ((handle: SocketHandle, callback: Callback) => {
          let broken = false
          ;(before as unknown as Native['start'])(handle, (event, value) => {
            if (event === NATIVE_EVENT.accept && typeof value !== 'number') {
              const fault = this.#next('accept')
              if (fault === undefined) return callback(event, value)
              waiting.set(handle, () => callback(event, value))
              return callback(event, -constants.errno[errnoName(fault)])
            }
            if (event === NATIVE_EVENT.read && (broken || (value as number) > 0)) {
              if (broken) return
              const fault = this.#next('receive')
              if (fault === undefined) return callback(event, value)
              broken = true
              return callback(event, -constants.errno[errnoName(fault)])
            }
            callback(event, value)
          })
        }) as AnyFunction,
    )
    this.#wrap(
      addon,
      'watch',
      (before) =>
        ((handle: SocketHandle, events: number) => {
          ;(before as unknown as Native['watch'])(handle, events)
          const accept = waiting.get(handle)
          if (accept === undefined || (events & WATCH.read) === 0) return
          waiting.delete(handle)
          setImmediate(accept)
        }) as AnyFunction,
    )
  }

  #isOurs(path: unknown): boolean {
    return typeof path === 'string' && path.startsWith(this.#root)
  }
}

function errnoName(fault: Fault): Errno {
  return fault === 'SHORT' ? 'EIO' : fault
}

function errnoOf(fault: Fault): number {
  return -constants.errno[errnoName(fault)]
}

/** `lstat` of what is not there gives `undefined` when it is asked so; all the rest is thrown. */
function failed(fault: Fault, kind: Kind, path: string, options: unknown): undefined {
  const quiet = (options as { throwIfNoEntry?: boolean } | undefined)?.throwIfNoEntry === false
  if (fault === 'ENOENT' && quiet) return undefined
  throw systemError(errnoOf(fault), kind, path)
}
