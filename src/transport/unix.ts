import type { Platform } from '../platform/platform.ts'
import { posixPlatform } from '../platform/posix.ts'
import { native, type Native, type SocketHandle } from '../platform/native.ts'
import { checkPathLength, cannotListen, foreignPeer } from './errors.ts'
import { StreamConnection } from './stream.ts'
import type { Connection, Listener, ListenOptions, PeerCredentials, Transport } from './transport.ts'
import { UnixListener, type SocketKind } from './unix-listener.ts'
import { peerOf, unreachable, UnixSocket } from './unix-socket.ts'

/**
 * Unix stream sockets of the addon. Not `node:net`: it has no peer credentials without a private field (rule C12), it
 * unlinks a path that somebody else has bound since (nodejs/node#19729), a cluster worker's `listen` happens in another
 * process (rule A10), and a failed write throws away what was received (rule A8).
 */
export function unixTransport(platform: Platform = posixPlatform()): Transport {
  return new UnixTransport(platform)
}

class UnixTransport implements Transport, SocketKind<Connection> {
  readonly #platform: Platform
  readonly #native: Native = native()

  constructor(platform: Platform) {
    this.#platform = platform
  }

  listen(path: string, options: ListenOptions): Listener {
    checkPathLength(path, this.#platform)
    const handle = this.#native.listen(path, options.backlog)
    if (typeof handle === 'number') throw cannotListen(path, handle)
    return new UnixListener(this.#native, this.#platform, handle, path, options, this)
  }

  connect(path: string): Connection {
    checkPathLength(path, this.#platform)
    const handle = this.#native.connect(path)
    if (typeof handle === 'number') throw unreachable(path, handle)
    const peer = peerOf(this.#native, handle, path)
    if (!this.admits(peer)) {
      this.#native.close(handle)
      throw foreignPeer(path, 'listener', peer)
    }
    return this.connection(handle, peer)
  }

  admits(peer: PeerCredentials): boolean {
    return this.#platform.isOurUid(peer.uid)
  }

  connection(handle: SocketHandle, peer: PeerCredentials): Connection {
    return new StreamConnection(new UnixSocket(this.#native, handle, this.#native.readBuffer), peer)
  }
}
