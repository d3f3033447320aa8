import { ConclaveError } from '../errors/index.ts'
import { CANNOT_WRITE, CURES } from '../platform/refusals.ts'
import { errnoOf } from './files.ts'

/**
 * Does what touches the files of a workspace. What the system refuses comes out as an error of ours: `WORKSPACE_READ_ONLY`
 * where something was to be written and cannot be, `INTERNAL` otherwise, both with `data.errno` and the cure.
 * @param to what `act` does
 * @param path what it touches, as far as the system's error does not say
 */
export function guarded<T>(to: 'read' | 'write', path: string, act: () => T): T {
  try {
    return act()
  } catch (error) {
    throw explained(to, path, error)
  }
}

function explained(to: 'read' | 'write', path: string, error: unknown): unknown {
  if (ConclaveError.is(error)) return error
  const errno = errnoOf(error)
  const { syscall, path: at = path } = error as NodeJS.ErrnoException
  if (errno === undefined && syscall === undefined) return error
  const details = { cause: error, data: { path: at, errno } }
  const why = to === 'write' && errno !== undefined ? CANNOT_WRITE[errno] : undefined
  if (why !== undefined) {
    const text = `${at} cannot be written: ${why}. Without it this process can only observe; make it writable, or join another folder.`
    return new ConclaveError('WORKSPACE_READ_ONLY', text, details)
  }
  const cure = CURES[errno ?? ''] ?? CANNOT_WRITE[errno ?? ''] ?? 'the system refused it, and only its error says why'
  return new ConclaveError('INTERNAL', `${at} cannot be used (${errno ?? (error as Error).message}): ${cure}.`, details)
}
