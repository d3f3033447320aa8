/**
 * The closed list of error codes. docs/errors.md explains each one; a test keeps the two in step.
 * The number is what travels as `error.code` in JSON-RPC 2.0; the string travels beside it in `error.data.code`.
 */
export const CODES = {
  ABORTED: -32001,
  TIMEOUT: -32002,
  DISCONNECTED: -32003,
  CLOSED: -32004,
  NO_PRIMARY: -32005,
  PRIMARY_EXISTS: -32006,
  PRIMARY_UNRESPONSIVE: -32007,
  PRIMARY_UNREACHABLE: -32008,
  PRIMARY_STARTING: -32009,
  PRIMARY_LOST: -32010,
  REMOTE_PRIMARY: -32011,
  SUPERSEDED: -32012,
  METHOD_NOT_FOUND: -32601,
  MEMBER_NOT_FOUND: -32013,
  AMBIGUOUS_TARGET: -32014,
  CALLEE_LOST: -32015,
  INVALID_REQUEST: -32600,
  INVALID_PARAMS: -32602,
  INVALID_RESULT: -32016,
  INVALID_OPTION: -32017,
  FAILED: -32000,
  CONFLICT: -32018,
  OVERLOADED: -32019,
  TOO_LARGE: -32020,
  FORBIDDEN: -32021,
  FOREIGN_WORKSPACE: -32022,
  UNSAFE_WORKSPACE: -32023,
  WORKSPACE_MOVED: -32024,
  WORKSPACE_READ_ONLY: -32025,
  SETUID_REFUSED: -32026,
  LOCK_LOST: -32027,
  LOCK_UNRELIABLE: -32028,
  PATH_TOO_LONG: -32029,
  STALE_TERM: -32030,
  VERSION_MISMATCH: -32031,
  PROTOCOL: -32700,
  UNSUPPORTED: -32032,
  MIGRATION_FAILED: -32033,
  NO_DATABASE: -32034,
  SOCKET_IN_USE: -32035,
  DATABASE_IN_USE: -32036,
  PROFILE_MISMATCH: -32037,
  SESSION_EXPIRED: -32038,
  TRANSACTION_LOST: -32039,
  ASYNC_PROCEDURE: -32040,
  READ_EXPIRED: -32041,
  FRAME_TOO_LARGE: -32045,
  INTERNAL: -32603,
} as const

export type Code = keyof typeof CODES

/** What is known about a write or a call that did not end with a result. */
export type Outcome = 'committed' | 'not-committed' | 'unknown'

const BY_NUMBER = new Map<number, Code>(Object.entries(CODES).map(([code, number]) => [number, code as Code]))

export function codeOfNumber(number: number): Code | undefined {
  return BY_NUMBER.get(number)
}

export function isCode(value: unknown): value is Code {
  return typeof value === 'string' && Object.hasOwn(CODES, value)
}
