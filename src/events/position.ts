/**
 * An event's public seq is one number that rises across terms: the term in its upper 21 bits, the event's number within
 * the term, from 1, in its lower 32 (rule A12). It stays a safe integer.
 */
const NUMBERS_A_TERM = 2 ** 32

/** The primary starts a new term before its events reach this number. */
export const LAST_NUMBER: number = NUMBERS_A_TERM - 1

export function seqOf(term: number, number: number): number {
  return term * NUMBERS_A_TERM + number
}

export function termOf(seq: number): number {
  return Math.floor(seq / NUMBERS_A_TERM)
}

export function numberOf(seq: number): number {
  return seq % NUMBERS_A_TERM
}
