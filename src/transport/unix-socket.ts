import { ConclaveError } from '../errors/index.ts'
import type { Native, SocketHandle } from '../platform/native.ts'
import { systemError } from '../platform/errors.ts'
import { disconnected } from './errors.ts'
import type { StreamSocket } from './stream.ts'
import type { PeerCredentials } from './transport.ts'

/** Closes the socket when the system does not tell. @throws `FORBIDDEN` */
export function peerOf(native: Native, handle: SocketHandle, path: string): PeerCredentials {
  const peer = native.peer(handle)
  if (typeof peer !== 'number') return peer
  native.close(handle)
  throw new ConclaveError('FORBIDDEN', `The system does not tell who is at the other side of ${path}.`, {
    cause: systemError(peer, 'getsockopt', path),
  })
}

/** For an errno of connect. `DISCONNECTED`, or `FORBIDDEN` when the file is not open to us. */
export function unreachable(path: string, errno: number): ConclaveError {
  const cause = systemError(errno, 'connect', path)
  if (cause.code === 'EACCES' || cause.code === 'EPERM') {
    return new ConclaveError('FORBIDDEN', `The socket ${path} is not open to this user (${cause.code}).`, {
      cause,
      data: { path, errno: cause.code },
    })
  }
  return disconnected(`Nobody can be reached at ${path} (${cause.code}).`, String(cause.code), cause)
}

/** A connected socket of the addon. */
export class UnixSocket implements StreamSocket {
  readonly readBuffer: Uint8Array
  readonly #native: Native
  readonly #handle: SocketHandle

  constructor(native: Native, handle: SocketHandle, readBuffer: Uint8Array) {
    this.readBuffer = readBuffer
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
