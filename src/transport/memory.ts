import { ConclaveError } from '../errors/index.ts'
import type { FileStat, MemoryProcess } from '../platform/index.ts'
import { addressInUse, checkPathLength, disconnected, foreignPeer } from './errors.ts'
import { memorySocketPair, type MemorySocket } from './memory-socket.ts'
import { StreamConnection } from './stream.ts'
import type { Connection, Listener, ListenOptions, PeerCredentials, Transport } from './transport.ts'

/** Connections between processes of one `memoryPlatform()`. They don't keep the real process running. */
export function memoryTransport(process: MemoryProcess): Transport {
  return new MemoryTransport(process)
}

class MemoryTransport implements Transport {
  readonly #process: MemoryProcess

  constructor(process: MemoryProcess) {
    this.#process = process
  }

  listen(path: string, options: ListenOptions): Listener {
    checkPathLength(path, this.#process)
    const listener = new MemoryListener(this.#process, path, options)
    try {
      listener.file = this.#process.bind(path, listener)
    } catch (cause) {
      if (ConclaveError.is(cause)) throw cause
      const { code, message } = cause as NodeJS.ErrnoException
      if (code === 'EADDRINUSE') throw addressInUse(path, cause)
      throw new ConclaveError('INTERNAL', `The socket ${path} can't be made: ${message}.`, {
        cause,
        data: { path, errno: code },
      })
    }
    return listener
  }

  connect(path: string): Connection {
    checkPathLength(path, this.#process)
    const listener = this.#listenerAt(path)
    if (!this.#process.isOurUid(listener.credentials.uid)) throw foreignPeer(path, 'listener', listener.credentials)
    const [ours, theirs] = memorySocketPair()
    const refused = listener.offer(theirs, credentialsOf(this.#process))
    if (refused !== undefined) throw unreachable(path, refused)
    own(this.#process, ours)
    return new StreamConnection(ours, listener.credentials)
  }

  #listenerAt(path: string): MemoryListener {
    let found: object
    try {
      found = this.#process.bound(path)
    } catch (cause) {
      if (ConclaveError.is(cause)) throw cause
      throw unreachable(path, String((cause as NodeJS.ErrnoException).code), cause)
    }
    if (found instanceof MemoryListener) return found
    throw unreachable(path, 'ECONNREFUSED')
  }
}

class MemoryListener implements Listener {
  readonly path: string
  readonly credentials: PeerCredentials
  /** Set once it is bound. */
  file: FileStat | undefined
  readonly #process: MemoryProcess
  readonly #options: ListenOptions
  readonly #backlog: { socket: MemorySocket; peer: PeerCredentials }[] = []
  readonly #disown: () => void
  #open = true

  constructor(process: MemoryProcess, path: string, options: ListenOptions) {
    this.path = path
    this.credentials = credentialsOf(process)
    this.#process = process
    this.#options = options
    this.#disown = process.onKill(() => this.#stop())
  }

  /** @returns why not */
  offer(socket: MemorySocket, peer: PeerCredentials): 'ECONNREFUSED' | 'EAGAIN' | undefined {
    if (!this.#open) return 'ECONNREFUSED'
    // As on Linux, one more than the backlog says.
    if (this.#backlog.length > this.#options.backlog) return 'EAGAIN'
    this.#backlog.push({ socket, peer })
    if (this.#backlog.length === 1) setImmediate(() => this.#accept())
    return undefined
  }

  close(): void {
    if (!this.#open) return
    const now = this.#process.alive ? this.#process.stat(this.path) : undefined
    if (now !== undefined && now.ino === this.file?.ino) this.#process.remove(this.path)
    this.#stop()
  }

  ref(): void {}

  unref(): void {}

  #stop(): void {
    this.#open = false
    this.#disown()
    for (const { socket } of this.#backlog.splice(0)) socket.close()
  }

  #accept(): void {
    for (const { socket, peer } of this.#backlog.splice(0)) {
      if (!this.#open) {
        socket.close()
      } else if (this.#process.isOurUid(peer.uid)) {
        own(this.#process, socket)
        this.#options.onConnection(new StreamConnection(socket, peer))
      } else {
        socket.close()
        this.#options.onError(foreignPeer(this.path, 'client', peer))
      }
    }
  }
}

/** The kernel closes what a killed process had open, and calls nothing of it any more. */
function own(process: MemoryProcess, socket: MemorySocket): void {
  const disown = process.onKill(() => socket.abandon())
  socket.onClosed = disown
}

function credentialsOf(process: MemoryProcess): PeerCredentials {
  return { uid: process.uid, gid: process.uid, pid: process.pid }
}

function unreachable(path: string, errno: string, cause?: unknown): ConclaveError {
  return disconnected(`Nobody can be reached at ${path} (${errno}).`, errno, cause)
}
