import { guard } from './guard.ts'
import { wordsOf } from './tokens.ts'

/**
 * Whether SQL only reads, so that it may run in this process, by the word it begins with. What is neither (`BEGIN`, a
 * typing error) is none: the primary says why it is refused.
 */
export function isRead(sql: string): boolean {
  switch (wordsOf(sql, 1)[0]) {
    case 'SELECT':
    case 'VALUES':
      return true
    case 'WITH':
      return READS.has(verbOfWith(sql))
    case 'EXPLAIN':
    case 'PRAGMA':
      return passesAsRead(sql)
    default:
      return false
  }
}

const READS: ReadonlySet<string> = new Set(['SELECT', 'VALUES'])

/** `WITH a (x) AS (…), b AS (…) UPDATE …`: what follows a closing parenthesis, unless that closed the columns' names. */
function verbOfWith(sql: string): string {
  let depth = 0
  let closed = false
  for (const word of wordsOf(sql, Infinity)) {
    if (word === '(') depth++
    if (closed && depth === 0 && word !== 'AS' && word !== ',') return word
    closed = false
    if (word === ')') closed = --depth === 0
  }
  return ''
}

function passesAsRead(sql: string): boolean {
  try {
    guard(sql, 'read')
    return true
  } catch {
    return false
  }
}
