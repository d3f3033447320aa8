import { join } from 'node:path'
import { ConclaveError } from '../errors/index.ts'
import { fs } from './builtins.ts'
import { packageRoot } from './package.ts'

/** An open socket or lock of the addon. Opaque: good for the functions below only. */
export type SocketHandle = { readonly socket: unique symbol }
export type LockHandle = { readonly lock: unique symbol }

/** First argument of a socket's callback. The same numbers stand in native/socket.c. */
export const NATIVE_EVENT = {
  /** Value: bytes in `readBuffer`; 0 at the end; negative errno. */
  read: 0,
  writable: 1,
  /** Value: the handle; or negative errno, and accepting pauses until `watch` is called again. */
  accept: 2,
} as const

/** What `watch` waits for. */
export const WATCH = { nothing: 0, read: 1, write: 2 } as const

/** Numbers below zero are errors: -errno. */
export interface Native {
  /** What `read` events received lies here until the callback returns. */
  readonly readBuffer: Uint8Array

  listen(path: string, backlog: number): SocketHandle | number
  connect(path: string): SocketHandle | number
  start(handle: SocketHandle, callback: (event: number, value: SocketHandle | number) => void): void
  watch(handle: SocketHandle, events: number): void
  /** How many bytes the kernel took. */
  send(handle: SocketHandle, bytes: Uint8Array, start: number, end: number): number
  shutdown(handle: SocketHandle): number
  close(handle: SocketHandle): void
  keepAlive(handle: SocketHandle, alive: boolean): void
  peer(handle: SocketHandle): { readonly uid: number; readonly gid: number; readonly pid: number } | number

  /** Where packet sockets receive; asked for before the first of them. `undefined`: this system has no such sockets. */
  packetBuffer(): Uint8Array | undefined
  /** SOCK_SEQPACKET: each `send` is one packet, and each `read` event. All the rest is as for streams. */
  listenPackets(path: string, backlog: number, mode: number): SocketHandle | number
  connectPackets(path: string): SocketHandle | number
  /** The peer of a packet socket: 0 it is there, 1 it has ended its side, 2 it has closed. */
  peerState(handle: SocketHandle): number

  tryLock(path: string): TakenLock | LockRefusal | number
  lockHolds(handle: LockHandle): boolean
  unlock(handle: LockHandle): void

  /** A name (macOS), a magic number (Linux). */
  fileSystemType(path: string): string | number
  bootId(): string | undefined
}

export interface TakenLock {
  readonly handle: LockHandle
  readonly dev: bigint
  readonly ino: bigint
}

export type LockRefusal = 'BUSY' | 'SYMLINK' | 'NOT_A_FILE' | 'NOT_OURS' | 'HARD_LINKED' | 'UNRELIABLE'

let loaded: Native | undefined

/** The addon, loaded at first use. One for each thread: a Worker loads its own. @throws `UNSUPPORTED` */
export function native(): Native {
  return (loaded ??= load())
}

function load(): Native {
  const root = packageRoot()
  const target = targetName()
  // A checkout has its own build; the published package has only prebuilds.
  const candidates = [join(root, 'build', 'conclave.node'), join(root, 'prebuilds', target, 'conclave.node')]
  const file = candidates.find((candidate) => fs.existsSync(candidate))
  const cure = `build it with \`node ${join(root, 'scripts', 'build-native.mjs')}\` (needs a C compiler and the headers of Node)`
  if (file === undefined) {
    throw new ConclaveError('UNSUPPORTED', `conclave has no native binary for ${target}: ${cure}.`)
  }
  try {
    // What `require` ends in, without the loader of CommonJS modules, which costs more than the addon.
    const module = { exports: {} }
    process.dlopen(module, file)
    return module.exports as Native
  } catch (cause) {
    throw new ConclaveError('UNSUPPORTED', `conclave's native binary ${file} does not load: ${cure}.`, { cause })
  }
}

/** The folder in prebuilds/. */
export function targetName(): string {
  const target = `${process.platform}-${process.arch}`
  return process.platform === 'linux' && isMusl() ? `${target}-musl` : target
}

function isMusl(): boolean {
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
  // A glibc system may have musl's loader too, so the report decides; it takes milliseconds, so only then.
  if (!fs.existsSync(`/lib/ld-musl-${machine}.so.1`)) return false
  const report = process.report as NodeJS.ProcessReport & { excludeNetwork: boolean }
  const before = report.excludeNetwork
  report.excludeNetwork = true
  const { header } = report.getReport() as { header?: { glibcVersionRuntime?: string } }
  report.excludeNetwork = before
  return header?.glibcVersionRuntime === undefined
}
