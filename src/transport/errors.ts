import { ConclaveError } from '../errors/index.ts'
import type { Platform } from '../platform/index.ts'
import { systemError } from '../platform/errors.ts'
import { CANNOT_WRITE, CURES } from '../platform/refusals.ts'

/** @throws `PATH_TOO_LONG`. Bytes count, not characters: `/tmp/ü` has seven. */
export function checkPathLength(path: string, platform: Platform): void {
  const bytes = Buffer.byteLength(path)
  const limit = platform.maxSocketPathBytes
  if (bytes <= limit) return
  throw new ConclaveError(
    'PATH_TOO_LONG',
    `The socket path ${path} has ${bytes} bytes and this system allows ${limit}: use a shorter directory (XDG_RUNTIME_DIR).`,
    { data: { path, bytes, limit } },
  )
}

export function disconnected(message: string, errno: string, cause?: unknown): ConclaveError {
  return new ConclaveError('DISCONNECTED', message, { cause, data: { errno } })
}

export function addressInUse(path: string, cause: unknown): ConclaveError {
  return new ConclaveError('CONFLICT', `${path} is in use: something is there already.`, {
    cause,
    data: { path, errno: 'EADDRINUSE' },
  })
}

/** For an errno of listen, or what the system threw. */
export function cannotListen(path: string, error: number | NodeJS.ErrnoException): ConclaveError {
  const cause = typeof error === 'number' ? systemError(error, 'listen', path) : error
  if (cause.code === 'EADDRINUSE') return addressInUse(path, cause)
  const details = { cause, data: { path, errno: cause.code } }
  const why = CANNOT_WRITE[cause.code ?? '']
  if (why !== undefined) {
    const text = `The socket ${path} can't be made: ${why}. Make its directory writable, or choose another one (XDG_RUNTIME_DIR).`
    return new ConclaveError('WORKSPACE_READ_ONLY', text, details)
  }
  const cure = CURES[cause.code ?? ''] ?? 'the system refused it, and only its error says why'
  return new ConclaveError(
    'INTERNAL',
    `The socket ${path} can't be made (${cause.code ?? cause.message}): ${cure}.`,
    details,
  )
}

export function foreignPeer(
  path: string,
  side: 'listener' | 'client',
  peer: { uid: number; pid: number },
): ConclaveError {
  return new ConclaveError(
    'FORBIDDEN',
    `The ${side} of ${path} runs as uid ${peer.uid} (pid ${peer.pid}), not as this process: only processes of one user meet.`,
    { data: { path, uid: peer.uid, pid: peer.pid } },
  )
}
