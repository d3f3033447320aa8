import { ConclaveError, type Code } from '../../errors/index.ts'

/** The errors of a forwarded write, in the words of existing programs. */
export const WRITE_ERRORS = [
  'TIMEOUT',
  'UNREACHABLE',
  'METHOD_NOT_FOUND',
  'INVALID_PARAMS',
  'CONFLICT',
  'INTERNAL',
] as const

export type WriteErrorCode = (typeof WRITE_ERRORS)[number]

/** Each with the code of ours that stands for it. */
const CODE_OF: Readonly<Record<WriteErrorCode, Code>> = {
  TIMEOUT: 'TIMEOUT',
  UNREACHABLE: 'DISCONNECTED',
  METHOD_NOT_FOUND: 'METHOD_NOT_FOUND',
  INVALID_PARAMS: 'INVALID_PARAMS',
  CONFLICT: 'CONFLICT',
  INTERNAL: 'INTERNAL',
}

const NOT_REACHED: ReadonlySet<Code> = new Set<Code>([
  'DISCONNECTED',
  'CLOSED',
  'NO_PRIMARY',
  'OVERLOADED',
  'PRIMARY_LOST',
  'PRIMARY_STARTING',
  'PRIMARY_UNREACHABLE',
  'PRIMARY_UNRESPONSIVE',
])

/** Which of the six an error is. */
export function writeErrorOf(error: unknown): WriteErrorCode {
  if (!ConclaveError.is(error)) return isConstraint(error) ? 'CONFLICT' : 'INTERNAL'
  const { code, reason } = error
  if (isWriteError(reason)) return reason
  if (isWriteError(code)) return code
  if (NOT_REACHED.has(code)) return 'UNREACHABLE'
  if (code === 'INVALID_REQUEST' || code === 'INVALID_OPTION') return 'INVALID_PARAMS'
  // The text that an existing primary sends for everything.
  return code === 'FAILED' && /constraint/i.test(error.message) ? 'CONFLICT' : 'INTERNAL'
}

/** The same error as one of the six: `reason` says which, `outcome` and `key` stay. */
export function asWriteError(error: unknown, key?: string): ConclaveError {
  const reason = writeErrorOf(error)
  const ours = ConclaveError.is(error) ? error : undefined
  return new ConclaveError(CODE_OF[reason], error instanceof Error ? error.message : String(error), {
    cause: error,
    reason,
    outcome: ours?.outcome,
    key: ours?.key ?? key,
    data: ours?.data,
  })
}

function isWriteError(value: unknown): value is WriteErrorCode {
  return (WRITE_ERRORS as readonly unknown[]).includes(value)
}

/** SQLITE_CONSTRAINT is 19, the extended codes have it in their lowest byte; better-sqlite3 has it as text. */
function isConstraint(error: unknown): boolean {
  const { code, errcode } = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>
  return (typeof errcode === 'number' && (errcode & 0xff) === 19) || String(code).startsWith('SQLITE_CONSTRAINT')
}
