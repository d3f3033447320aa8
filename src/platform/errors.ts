import { constants } from 'node:os'
import { getSystemErrorMessage, getSystemErrorName } from 'node:util'

/** An error as Node's own file calls throw it, for an errno of the addon (negative) or of the memory platform. */
export function systemError(errno: number, syscall: string, path: string): NodeJS.ErrnoException {
  const code = nameOf(errno)
  const error: NodeJS.ErrnoException = new Error(`${code}: ${getSystemErrorMessage(errno)}, ${syscall} '${path}'`)
  return Object.assign(error, { errno, code, syscall, path })
}

/** libuv, whose names Node gives, does not know some that locks end in (ENOLCK). */
function nameOf(errno: number): string {
  const name = getSystemErrorName(errno)
  if (!name.startsWith('Unknown')) return name
  return Object.entries(constants.errno).find(([, number]) => number === -errno)?.[0] ?? name
}
