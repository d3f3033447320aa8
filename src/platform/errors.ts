import { getSystemErrorMessage, getSystemErrorName } from 'node:util'

/** An error as Node's own file calls throw it, for an errno of the addon (negative) or of the memory platform. */
export function systemError(errno: number, syscall: string, path: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(errno)
  const error: NodeJS.ErrnoException = new Error(`${code}: ${getSystemErrorMessage(errno)}, ${syscall} '${path}'`)
  return Object.assign(error, { errno, code, syscall, path })
}
