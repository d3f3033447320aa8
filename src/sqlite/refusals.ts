import { ConclaveError } from '../errors/index.ts'

/** Why the coordinator did not do what it was asked to: nothing of it is committed. */

export function walFull(bytes: number, holders: readonly number[] | undefined): ConclaveError {
  const who = holders === undefined || holders.length === 0 ? 'a process' : `pid ${holders.join(', ')}`
  const text = `The WAL of the database has grown to ${bytes} bytes because ${who} keeps an old snapshot open: end its read (an open iterator, a stopped process).`
  return new ConclaveError('OVERLOADED', text, { outcome: 'not-committed', data: { bytes, holders } })
}

export function closed(): ConclaveError {
  return new ConclaveError('CLOSED', 'The database is closed here.', { outcome: 'not-committed' })
}

export function givenUp(cause: unknown): ConclaveError {
  const text = 'The write was given up before its turn came.'
  return new ConclaveError('ABORTED', text, { cause, outcome: 'not-committed' })
}

export function late(): ConclaveError {
  const text = 'The transaction came to its turn after its deadline and was not begun.'
  return new ConclaveError('TIMEOUT', text, { outcome: 'not-committed' })
}

/** For its caller to begin at the next primary (rule A13). */
export function givenBack(): ConclaveError {
  const text = 'This primary hands over: its successor begins the transaction.'
  return new ConclaveError('PRIMARY_LOST', text, { outcome: 'not-committed' })
}
