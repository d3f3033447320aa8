import { errorToWire, type ErrorOnWire, type Outcome } from '../errors/index.ts'
import { statementError } from './sqlite-errors.ts'

/**
 * What a write came to, as it is stored beside its effects and sent to its writer. An answer is final; whatever else
 * ends a request (a lost link, a deadline) comes as an error of the call and leaves the outcome open.
 */
export type Answer = { readonly ok: unknown } | { readonly error: ErrorOnWire }

export function failed(error: unknown): Answer {
  return { error: errorToWire(statementError(error)) }
}

export function outcomeOf(answer: Answer): Outcome {
  if ('ok' in answer) return 'committed'
  return answer.error.data?.outcome ?? 'unknown'
}
