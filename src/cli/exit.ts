import { constants } from 'node:os'
import { ConclaveError, type Code } from '../errors/index.ts'

/** The exit codes; `conclave --help` lists them. */
export const EXIT = {
  ok: 0,
  error: 1,
  usage: 2,
  nobody: 3,
  notFound: 4,
  /** EX_TEMPFAIL of sysexits.h. */
  busy: 75,
  timeout: 124,
  cannotRun: 126,
  noCommand: 127,
} as const

const BY_CODE: Partial<Readonly<Record<Code, number>>> = {
  INVALID_OPTION: EXIT.usage,
  NO_PRIMARY: EXIT.nobody,
  METHOD_NOT_FOUND: EXIT.notFound,
  MEMBER_NOT_FOUND: EXIT.notFound,
  AMBIGUOUS_TARGET: EXIT.notFound,
  TIMEOUT: EXIT.timeout,
}

/** A wrong command line. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** A signal, or a reader that has gone away, ended the verb. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
  readonly signal: NodeJS.Signals | undefined

  constructor(signal: NodeJS.Signals | undefined) {
    super(signal === undefined ? 'Nobody reads the output any more.' : `Ended by ${signal}.`)
    this.signal = signal
  }
}

/** As a shell says it: 128 and the signal's number. */
export function signalCode(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal]
}

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return EXIT.usage
  if (error instanceof Interrupted) return error.signal === undefined ? EXIT.ok : signalCode(error.signal)
  return ConclaveError.is(error) ? (BY_CODE[error.code] ?? EXIT.error) : EXIT.error
}

/** One sentence, with its code where there is one. */
export function sentenceOf(error: unknown): string {
  if (ConclaveError.is(error)) return `${error.code}: ${oneLine(error.message)}`
  return oneLine(error instanceof Error ? error.message : String(error))
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, ' ').trim()
}
