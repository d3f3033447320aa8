import type { Code, Outcome } from './codes.ts'

const BRAND = Symbol.for('conclave.error')

/** Worth trying again unchanged: the cause passes by itself. */
const RETRYABLE: ReadonlySet<Code> = new Set<Code>([
  'DISCONNECTED',
  'NO_PRIMARY',
  'OVERLOADED',
  'PRIMARY_LOST',
  'PRIMARY_STARTING',
  'PRIMARY_UNREACHABLE',
  'PRIMARY_UNRESPONSIVE',
  'TIMEOUT',
])

export interface ErrorDetails {
  readonly cause?: unknown
  /** Default: `unknown` where a request may have run, `undefined` where nothing could have. */
  readonly outcome?: Outcome | undefined
  /** The key to ask again with. */
  readonly key?: string | undefined
  /** `FAILED` only: the code, or else the name, of what the handler threw. */
  readonly reason?: string | undefined
  readonly data?: unknown
}

/**
 * The one error class. `code` is stable and closed (docs/errors.md); the message says what to do next.
 * `name` is `AbortError` or `TimeoutError` for those two codes, as retry libraries look for it.
 */
export class ConclaveError extends Error {
  readonly code: Code
  readonly outcome: Outcome | undefined
  readonly key: string | undefined
  readonly reason: string | undefined
  readonly data: unknown

  constructor(code: Code, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = code === 'ABORTED' ? 'AbortError' : code === 'TIMEOUT' ? 'TimeoutError' : 'ConclaveError'
    this.code = code
    this.outcome = details.outcome
    this.key = details.key
    this.reason = details.reason
    this.data = details.data
  }

  get retryable(): boolean {
    return RETRYABLE.has(this.code)
  }

  static {
    Object.defineProperty(this.prototype, BRAND, { value: true })
  }

  /** True for an error of ours with one of the codes, also when it comes from another installed copy of the package. */
  static is<K extends Code>(error: unknown, ...codes: readonly K[]): error is ConclaveError & { readonly code: K } {
    if (typeof error !== 'object' || error === null || !(BRAND in error)) return false
    const code = (error as { readonly code?: unknown }).code
    return codes.length === 0 || (codes as readonly unknown[]).includes(code)
  }
}

/** An unknown thrown value as an `Error`, with its message kept. */
export function asError(value: unknown): Error {
  return value instanceof Error ? value : new Error(asText(value))
}

/** Some objects can't be made text. */
function asText(value: unknown): string {
  try {
    return String(value)
  } catch {
    return Object.prototype.toString.call(value)
  }
}
