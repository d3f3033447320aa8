import { ConclaveError } from '../errors/index.ts'
import type { Answer } from './answer.ts'
import { MAX_OUTCOME_BYTES, MAX_RESULT_BYTES } from './limits.ts'
import type { WireResult } from './result.ts'
import { transactionEnded } from './tx.ts'

/** What a short answer counts for: `{"ok":[1,1234567]}`. */
export const SMALL_BYTES: number = 32
export const DONE: Answer = { ok: null }

/** An answer, and about how many bytes of JSON it is. */
export interface Made {
  readonly answer: Answer
  readonly bytes: number
}

/** @throws `TOO_LARGE` for too many rows */
export function madeOf(result: WireResult): Made {
  const [, , rows] = result
  return rows === undefined ? { answer: { ok: result }, bytes: SMALL_BYTES } : fits(sized({ ok: result }))
}

/** Of results that are our own. */
export function sized(answer: Answer): Made {
  return { answer, bytes: JSON.stringify(answer).length }
}

/** A copy: what a procedure returned is its program's to change, what is remembered of it must not. */
export function copyOf(answer: Answer): Made {
  const text = JSON.stringify(answer)
  return { answer: JSON.parse(text) as Answer, bytes: text.length }
}

/** @throws `TOO_LARGE` */
export function fits(made: Made): Made {
  const { bytes: length } = made
  if (length <= MAX_RESULT_BYTES) return made
  const why = `The result of a write has ${length} bytes and may have ${MAX_RESULT_BYTES}: it was rolled back. Read with db.read, which has no such bound.`
  throw new ConclaveError('TOO_LARGE', why, { outcome: 'not-committed' })
}

export function tooManyOutcomes(): ConclaveError {
  const text = `More than ${MAX_OUTCOME_BYTES} bytes of results wait to be acknowledged by this member: await some of its writes first.`
  return new ConclaveError('OVERLOADED', text, { outcome: 'not-committed' })
}

export function sessionLost(cause: unknown): ConclaveError {
  if (ConclaveError.is(cause, 'TRANSACTION_LOST')) return cause
  if (cause !== undefined) return transactionEnded(cause)
  const text =
    'The transaction is over: its deadline passed, its link was lost, or another primary serves. It was rolled back; run it again.'
  return new ConclaveError('TRANSACTION_LOST', text, { outcome: 'not-committed' })
}
