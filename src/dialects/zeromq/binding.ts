import { dirname } from 'node:path'
import type { Socket } from 'zeromq'
import { ConclaveError } from '../../errors/index.ts'
import { errnoOf } from '../../election/files.ts'
import { sleep } from '../../election/wait.ts'
import type { Lock, Platform } from '../../platform/index.ts'
import { inUse, privateDirectory } from '../shared/place.ts'
import { BIND_PATIENCE_MS, BIND_RETRY_MS } from './limits.ts'
import { checkSocketPath } from './ports.ts'

/** A socket of libzmq at an endpoint of its own. */
export class Binding {
  /** With the port that was chosen where `*` was asked for. */
  readonly endpoint: string
  readonly #platform: Platform
  readonly #lock: Lock | undefined
  readonly #inode: bigint | undefined

  private constructor(endpoint: string, platform: Platform, lock: Lock | undefined) {
    this.endpoint = endpoint
    this.#platform = platform
    this.#lock = lock
    this.#inode = endpoint.startsWith('ipc://') ? platform.stat(pathOf(endpoint))?.ino : undefined
  }

  /**
   * libzmq takes an ipc path from whoever listens there, so ours is bound under a lock, `<path>.lock`, in a folder of ours.
   * @param exclusive others may want the name: take its lock. False for a name that nobody else can have
   * @throws `SOCKET_IN_USE`, `PATH_TOO_LONG`, `FOREIGN_WORKSPACE`, `UNSAFE_WORKSPACE`
   */
  static async bind(socket: Socket, endpoint: string, platform: Platform, exclusive: boolean): Promise<Binding> {
    let lock: Lock | undefined
    if (endpoint.startsWith('ipc://')) {
      const path = pathOf(endpoint)
      checkSocketPath(platform, path)
      privateDirectory(platform, dirname(path))
      if (exclusive) lock = platform.tryLock(`${path}.lock`)
      if (exclusive && lock === undefined) throw inUse(path)
    }
    try {
      await bindPatiently(socket, endpoint)
    } catch (cause) {
      lock?.close()
      if (errnoOf(cause) !== 'EADDRINUSE') {
        throw new ConclaveError('INVALID_OPTION', `${endpoint} can't be bound: ${(cause as Error).message}.`, { cause })
      }
      throw new ConclaveError(
        'SOCKET_IN_USE',
        `Somebody has ${endpoint}: another bus, or any program, since these ports are also given out at random. Use ipc, or another port.`,
        { cause, data: { endpoint } },
      )
    }
    return new Binding(socket.lastEndpoint ?? endpoint, platform, lock)
  }

  /** Nobody new finds an ipc socket. (libzmq's unbind would also end what is connected.) */
  hide(): void {
    if (this.#inode === undefined) return
    // After our lock file was deleted the name may be another's.
    const path = pathOf(this.endpoint)
    if (this.#platform.stat(path)?.ino === this.#inode) this.#platform.remove(path)
  }

  /** The name is free for the next one. After the socket was closed, which leaves the file. */
  release(): void {
    this.hide()
    this.#lock?.close()
  }
}

/**
 * A bus that has just ended gives its port back within a moment: libzmq's threads do. Pauses are counted, and not the time,
 * since a process that stands still gives these threads none.
 */
async function bindPatiently(socket: Socket, endpoint: string): Promise<void> {
  for (let pauses = 0; ; pauses++) {
    try {
      await socket.bind(endpoint)
      return
    } catch (error) {
      if (errnoOf(error) !== 'EADDRINUSE' || pauses * BIND_RETRY_MS >= BIND_PATIENCE_MS) throw error
    }
    await sleep(BIND_RETRY_MS)
  }
}

function pathOf(endpoint: string): string {
  return endpoint.slice('ipc://'.length)
}
