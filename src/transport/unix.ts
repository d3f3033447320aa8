import { ConclaveError } from '../errors/index.ts'
import { posixPlatform, type FileStat, type Platform } from '../platform/index.ts'
import { native, WATCH, type Native, type SocketHandle } from '../platform/native.ts'
import { systemError } from '../platform/errors.ts'
import { addressInUse, checkPathLength, disconnected, foreignPeer } from './errors.ts'
import { StreamConnection, type StreamSocket } from './stream.ts'
import { ACCEPT_PAUSE_MS } from './limits.ts'
import type { Connection, Listener, ListenOptions, PeerCredentials, Transport } from './transport.ts'

/**
 * Unix stream sockets of the addon. Not `node:net`: it has no peer credentials without a private field (rule C12), it
 * unlinks a path that somebody else has bound since (nodejs/node#19729), a cluster worker's `listen` happens in another
 * process (rule A10), and a failed write throws away what was received (rule A8).
 */
export function unixTransport(platform: Platform = posixPlatform()): Transport {
  return new UnixTransport(platform)
}

class UnixTransport implements Transport {
  readonly #platform: Platform
  readonly #native: Native = native()

  constructor(platform: Platform) {
    this.#platform = platform
  }

  listen(path: string, options: ListenOptions): Listener {
    checkPathLength(path, this.#platform)
    const handle = this.#native.listen(path, options.backlog)
    if (typeof handle !== 'number') return new UnixListener(this.#native, this.#platform, handle, path, options)
    const cause = systemError(handle, 'listen', path)
    if (cause.code === 'EADDRINUSE') throw addressInUse(path, cause)
    throw new ConclaveError('INTERNAL', `The socket ${path} can't be made: ${cause.message}.`, {
      cause,
      data: { path, errno: cause.code },
    })
  }

  connect(path: string): Connection {
    checkPathLength(path, this.#platform)
    const handle = this.#native.connect(path)
    if (typeof handle === 'number') {
      const cause = systemError(handle, 'connect', path)
      if (cause.code === 'EACCES' || cause.code === 'EPERM') {
        throw new ConclaveError('FORBIDDEN', `The socket ${path} is not open to this user (${cause.code}).`, {
          cause,
          data: { path, errno: cause.code },
        })
      }
      throw disconnected(`Nobody can be reached at ${path} (${cause.code}).`, String(cause.code), cause)
    }
    const peer = peerOf(this.#native, handle, path)
    if (!this.#platform.isOurUid(peer.uid)) {
      this.#native.close(handle)
      throw foreignPeer(path, 'listener', peer)
    }
    return new StreamConnection(new UnixSocket(this.#native, handle), peer)
  }
}

class UnixListener implements Listener {
  readonly path: string
  readonly #native: Native
  readonly #platform: Platform
  readonly #options: ListenOptions
  /** The socket file we made; another one at the path is not ours to unlink. */
  readonly #file: FileStat | undefined
  #handle: SocketHandle | undefined
  #pause: NodeJS.Timeout | undefined
  #keepsAlive = true

  constructor(native: Native, platform: Platform, handle: SocketHandle, path: string, options: ListenOptions) {
    this.path = path
    this.#native = native
    this.#platform = platform
    this.#options = options
    this.#handle = handle
    this.#file = platform.stat(path)
    native.start(handle, (_event, value) => this.#accepted(value))
    native.watch(handle, WATCH.read)
  }

  close(): void {
    if (this.#handle === undefined) return
    this.#unlink()
    this.#native.close(this.#handle)
    this.#handle = undefined
    clearTimeout(this.#pause)
  }

  /** While the socket is open, no other file can have its inode. */
  #unlink(): void {
    try {
      const now = this.#platform.stat(this.path)
      if (now?.ino === this.#file?.ino && now?.dev === this.#file?.dev) this.#platform.remove(this.path)
    } catch {
      // Its directory is gone or closed to us. A dead socket file harms nobody, and is swept later (rule B5).
    }
  }

  ref(): void {
    this.#keepAlive(true)
  }

  unref(): void {
    this.#keepAlive(false)
  }

  #keepAlive(alive: boolean): void {
    this.#keepsAlive = alive
    if (this.#handle !== undefined) this.#native.keepAlive(this.#handle, alive)
    if (alive) this.#pause?.ref()
    else this.#pause?.unref()
  }

  #accepted(value: SocketHandle | number): void {
    if (typeof value === 'number') {
      this.#pauseAccepting()
      this.#options.onError(systemError(value, 'accept', this.path))
      return
    }
    let peer: PeerCredentials
    try {
      peer = peerOf(this.#native, value, this.path)
      if (!this.#platform.isOurUid(peer.uid)) throw foreignPeer(this.path, 'client', peer)
    } catch (error) {
      this.#native.close(value)
      this.#options.onError(error as Error)
      return
    }
    this.#options.onConnection(new StreamConnection(new UnixSocket(this.#native, value), peer))
  }

  #pauseAccepting(): void {
    this.#pause = setTimeout(() => {
      this.#pause = undefined
      if (this.#handle !== undefined) this.#native.watch(this.#handle, WATCH.read)
    }, ACCEPT_PAUSE_MS)
    if (!this.#keepsAlive) this.#pause.unref()
  }
}

function peerOf(native: Native, handle: SocketHandle, path: string): PeerCredentials {
  const peer = native.peer(handle)
  if (typeof peer !== 'number') return peer
  native.close(handle)
  throw new ConclaveError('FORBIDDEN', `The system does not tell who is at the other side of ${path}.`, {
    cause: systemError(peer, 'getsockopt', path),
  })
}

class UnixSocket implements StreamSocket {
  readonly readBuffer: Uint8Array
  readonly #native: Native
  readonly #handle: SocketHandle

  constructor(native: Native, handle: SocketHandle) {
    this.readBuffer = native.readBuffer
    this.#native = native
    this.#handle = handle
  }

  start(onEvent: (event: number, value: number) => void): void {
    this.#native.start(this.#handle, onEvent as (event: number, value: SocketHandle | number) => void)
  }

  watch(events: number): void {
    this.#native.watch(this.#handle, events)
  }

  send(bytes: Uint8Array, start: number, end: number): number {
    return this.#native.send(this.#handle, bytes, start, end)
  }

  shutdown(): number {
    return this.#native.shutdown(this.#handle)
  }

  close(): void {
    this.#native.close(this.#handle)
  }

  keepAlive(alive: boolean): void {
    this.#native.keepAlive(this.#handle, alive)
  }
}
