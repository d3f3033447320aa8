import { dirname } from 'node:path'
import { ConclaveError } from '../../errors/index.ts'
import { errnoOf } from '../../election/files.ts'
import type { Platform } from '../../platform/index.ts'
import type { Connection, Listener, ListenOptions, Transport } from '../../transport/index.ts'

/**
 * Makes the directory (0700, and what is missing above it) and checks that it is ours and that nobody else can put
 * anything into it: a name in a shared temporary folder may have been taken by somebody before us.
 * @throws `FOREIGN_WORKSPACE`, `UNSAFE_WORKSPACE`, or the system's error
 */
export function privateDirectory(platform: Platform, path: string): void {
  if (platform.stat(path) === undefined) {
    const parent = dirname(path)
    if (parent !== path && platform.stat(parent) === undefined) makeParents(platform, parent)
    platform.makeDirectory(path, 0o700)
  }
  const stat = platform.stat(path)
  if (stat === undefined || stat.kind !== 'directory') {
    const text = `${path} is ${stat?.kind === 'symlink' ? 'a symbolic link' : 'not a directory'}: remove it, and it is made anew.`
    throw new ConclaveError('UNSAFE_WORKSPACE', text, { data: { path } })
  }
  if (!platform.isOurUid(stat.uid)) {
    const text = `${path} belongs to uid ${stat.uid} and this process runs as uid ${platform.uid}: sockets there are not safe. Use a directory of your own.`
    throw new ConclaveError('FOREIGN_WORKSPACE', text, { data: { path, uid: stat.uid } })
  }
  if ((stat.mode & 0o022) !== 0) {
    const mode = stat.mode.toString(8)
    const text = `Others can write to ${path} (mode ${mode}): run \`chmod 700 ${path}\`.`
    throw new ConclaveError('UNSAFE_WORKSPACE', text, { data: { path, mode } })
  }
}

function makeParents(platform: Platform, path: string): void {
  const parent = dirname(path)
  if (parent !== path && platform.stat(parent) === undefined) makeParents(platform, parent)
  platform.makeDirectory(path, 0o700)
}

export interface Place {
  readonly platform: Platform
  readonly transport: Transport
}

export function inUse(path: string, cause?: unknown): ConclaveError {
  return new ConclaveError('SOCKET_IN_USE', `Somebody listens at ${path} already; it keeps the name.`, {
    cause,
    data: { path },
  })
}

/**
 * Listens at a fixed path, under a lock that the caller holds: no other of us is there, so what lies there is a socket
 * whose owner is gone, or one of an existing program, which has no lock. That one is asked, and never displaced.
 * @throws `SOCKET_IN_USE`, `PATH_TOO_LONG`
 */
export function listenAt(place: Place, path: string, options: ListenOptions): Listener {
  try {
    return place.transport.listen(path, options)
  } catch (error) {
    if (!ConclaveError.is(error, 'CONFLICT')) throw error
    if (place.platform.stat(path)?.kind !== 'socket' || answers(place.transport, path)) throw inUse(path, error)
    place.platform.remove(path)
    return place.transport.listen(path, options)
  }
}

/** Whether a listener is there. One whose queue of callers is full is. */
export function answers(transport: Transport, path: string): boolean {
  let connection: Connection
  try {
    connection = transport.connect(path)
  } catch (error) {
    const errno = errnoOf(error)
    return errno !== 'ECONNREFUSED' && errno !== 'ENOENT'
  }
  connection.close()
  return true
}
