import type { FileStat, Platform } from '../platform/index.ts'
import { WATCH, type Native, type SocketHandle } from '../platform/native.ts'
import { systemError } from '../platform/errors.ts'
import { cannotListen, foreignPeer } from './errors.ts'
import { ACCEPT_PAUSE_MS } from './limits.ts'
import type { Connection, Listener, ListenOptions, PeerCredentials } from './transport.ts'
import { peerOf } from './unix-socket.ts'

/** What a listener makes of those it accepts, and whom it accepts. */
export interface SocketKind<C extends Connection> {
  admits(peer: PeerCredentials): boolean
  connection(handle: SocketHandle, peer: PeerCredentials): C
}

type Callbacks<C extends Connection> = Pick<ListenOptions, 'onError'> & {
  readonly onConnection: (connection: C) => void
}

/** A listening socket of the addon, of streams or of packets. */
export class UnixListener<C extends Connection> implements Listener {
  readonly path: string
  readonly #native: Native
  readonly #platform: Platform
  readonly #options: Callbacks<C>
  readonly #kind: SocketKind<C>
  /** The socket file we made; another one at the path is not ours to unlink. */
  readonly #file: FileStat | undefined
  #handle: SocketHandle | undefined
  #pause: NodeJS.Timeout | undefined
  #keepsAlive = true

  constructor(
    native: Native,
    platform: Platform,
    handle: SocketHandle,
    path: string,
    options: Callbacks<C>,
    kind: SocketKind<C>,
  ) {
    this.path = path
    this.#kind = kind
    this.#native = native
    this.#platform = platform
    this.#options = options
    this.#handle = handle
    try {
      this.#file = platform.stat(path)
    } catch (cause) {
      // It could not be told from another one at the end.
      native.close(handle)
      throw cannotListen(path, cause as NodeJS.ErrnoException)
    }
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
      if (!this.#kind.admits(peer)) throw foreignPeer(this.path, 'client', peer)
    } catch (error) {
      this.#native.close(value)
      this.#options.onError(error as Error)
      return
    }
    this.#options.onConnection(this.#kind.connection(value, peer))
  }

  #pauseAccepting(): void {
    this.#pause = setTimeout(() => {
      this.#pause = undefined
      if (this.#handle !== undefined) this.#native.watch(this.#handle, WATCH.read)
    }, ACCEPT_PAUSE_MS)
    if (!this.#keepsAlive) this.#pause.unref()
  }
}
