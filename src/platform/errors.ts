import { constants } from 'node:os'
import { util } from './builtins.ts'

/** An error as Node's own file calls throw it, for an errno of the addon (negative) or of the memory platform. */
export function systemError(errno: number, syscall: string, path: string): NodeJS.ErrnoException {
  const code = nameOf(errno)
  const error: NodeJS.ErrnoException = new Error(`${code}: ${util.getSystemErrorMessage(errno)}, ${syscall} '${path}'`)
  return Object.assign(error, { errno, code, syscall, path })
}

/** libuv, whose names Node gives, does not know some that locks end in (ENOLCK). */
function nameOf(errno: number): string {
  const name = util.getSystemErrorName(errno)
  if (!name.startsWith('Unknown')) return name
  return Object.entries(constants.errno).find(([, number]) => number === -errno)?.[0] ?? name
}
