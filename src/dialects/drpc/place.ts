import { ConclaveError } from '../../errors/index.ts'
import type { Lock, Platform } from '../../platform/index.ts'
import type { Listener, PacketListenOptions, PacketTransport } from '../../transport/index.ts'
import { checkPathLength } from '../../transport/errors.ts'

/** A socket file and the right to it. */
export interface Place {
  readonly listener: Listener
  /** Held as long as the server lives; the lock's file stays. */
  readonly lock: Lock
}

/**
 * Listens at the path. Who wants it must hold the lock `<path>.lock` first, so that of two starters only one looks, and
 * only it removes what a dead server left. A server of another make knows nothing of the lock: it is found by its answer.
 * @throws `SOCKET_IN_USE` while a server lives there; `CONFLICT` when something else lies there; `PATH_TOO_LONG`;
 * `FOREIGN_WORKSPACE` when the lock is another user's; `INTERNAL` with the system's error, as for a missing directory
 */
export function takePlace(
  platform: Platform,
  transport: PacketTransport,
  path: string,
  options: PacketListenOptions,
): Place {
  checkPathLength(path, platform)
  const lock = lockAt(platform, `${path}.lock`)
  if (lock === undefined) throw inUse(path)
  try {
    makeRoom(platform, transport, path)
    return { listener: listen(transport, path, options), lock }
  } catch (error) {
    lock.close()
    throw error
  }
}

function lockAt(platform: Platform, path: string): Lock | undefined {
  try {
    return platform.tryLock(path)
  } catch (cause) {
    if (ConclaveError.is(cause)) throw cause
    throw new ConclaveError('INTERNAL', `The lock ${path} can't be made: ${(cause as Error).message}.`, {
      cause,
      data: { path, errno: (cause as NodeJS.ErrnoException).code },
    })
  }
}

/** Removes a socket file that nobody listens at. */
function makeRoom(platform: Platform, transport: PacketTransport, path: string): void {
  const found = platform.stat(path)
  if (found === undefined) return
  if (found.kind !== 'socket') {
    throw new ConclaveError(
      'CONFLICT',
      `${path} is a ${found.kind} and no socket: it is not removed. Choose another path.`,
    )
  }
  const answer = knock(transport, path)
  if (answer === 'ENOENT') return
  if (answer !== 'ECONNREFUSED') throw inUse(path)
  // Somebody without our lock may have come meanwhile; between here and unlink(2) nobody can be kept out.
  const now = platform.stat(path)
  if (now !== undefined && (now.ino !== found.ino || now.dev !== found.dev)) throw inUse(path)
  platform.remove(path)
}

/** @returns why nobody answered; `undefined` when somebody did, or has no room just now, or speaks another kind of socket */
function knock(transport: PacketTransport, path: string): string | undefined {
  try {
    transport.connect(path, { admits: () => true }).close()
    return undefined
  } catch (error) {
    if (!ConclaveError.is(error, 'DISCONNECTED')) throw error
    return (error.data as { readonly errno: string }).errno
  }
}

function listen(transport: PacketTransport, path: string, options: PacketListenOptions): Listener {
  try {
    return transport.listen(path, options)
  } catch (error) {
    throw ConclaveError.is(error, 'CONFLICT') ? inUse(path, error) : error
  }
}

function inUse(path: string, cause?: unknown): ConclaveError {
  return new ConclaveError(
    'SOCKET_IN_USE',
    `A server is listening at ${path} already: stop it first, or choose another path.`,
    { cause, data: { path } },
  )
}
