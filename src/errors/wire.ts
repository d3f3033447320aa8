import { CODES, codeOfNumber, isCode, type Code, type Outcome } from './codes.ts'
import { ConclaveError } from './error.ts'

/** JSON-RPC 2.0, section 5.1: the error object. What is ours lies in `data`, beside the user's own data. */
export interface ErrorOnWire {
  readonly code: number
  readonly message: string
  readonly data?: {
    readonly code: Code
    readonly outcome?: Outcome
    readonly key?: string
    readonly reason?: string
    readonly data?: unknown
  }
}

const OUTCOMES: ReadonlySet<unknown> = new Set(['committed', 'not-committed', 'unknown'])

/** Longest error message that travels, in UTF-16 units; a longer one is cut. */
export const MAX_ERROR_MESSAGE = 8192

/** Any thrown value as it travels. Stacks and causes stay at home; a handler's own error becomes `FAILED` with its code or name. */
export function errorToWire(error: unknown): ErrorOnWire {
  if (ConclaveError.is(error)) {
    const { code, outcome, key, reason, data } = error
    return {
      code: CODES[code],
      message: cut(error.message),
      data: {
        code,
        ...(outcome === undefined ? {} : { outcome }),
        ...(key === undefined ? {} : { key }),
        ...(reason === undefined ? {} : { reason }),
        ...(data === undefined ? {} : { data: sendable(data) }),
      },
    }
  }
  const thrown = (typeof error === 'object' && error !== null ? error : { message: String(error) }) as Record<
    string,
    unknown
  >
  const own = thrown['code']
  const name = thrown['name']
  const reason = typeof own === 'string' || typeof own === 'number' ? String(own) : name
  const message = thrown['message']
  const data = thrown['data']
  return {
    code: CODES.FAILED,
    message: cut(typeof message === 'string' && message !== '' ? message : 'The handler failed without a message.'),
    data: {
      code: 'FAILED',
      ...(typeof reason === 'string' ? { reason } : {}),
      ...(data === undefined ? {} : { data: sendable(data) }),
    },
  }
}

/** The error a peer sent. Whatever it holds, the result is a `ConclaveError` with a code of the list. */
export function errorFromWire(wire: unknown): ConclaveError {
  const { code, message, data } = (typeof wire === 'object' && wire !== null ? wire : {}) as Record<string, unknown>
  const ours = (typeof data === 'object' && data !== null ? data : {}) as Record<string, unknown>
  const known = isCode(ours['code']) ? ours['code'] : typeof code === 'number' ? codeOfNumber(code) : undefined
  const text = (field: string): string | undefined => {
    const value = ours[field]
    return typeof value === 'string' ? value : undefined
  }
  return new ConclaveError(known ?? 'FAILED', typeof message === 'string' ? message : 'The peer sent no message.', {
    outcome: OUTCOMES.has(ours['outcome']) ? (ours['outcome'] as Outcome) : undefined,
    key: text('key'),
    reason: text('reason'),
    data: known === undefined ? data : ours['data'],
  })
}

function cut(message: string): string {
  return message.length <= MAX_ERROR_MESSAGE ? message : `${message.slice(0, MAX_ERROR_MESSAGE)}…`
}

function sendable(data: unknown): unknown {
  try {
    return JSON.stringify(data) === undefined ? undefined : data
  } catch {
    return undefined
  }
}
