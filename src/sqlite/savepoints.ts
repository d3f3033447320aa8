import { statementsOf, wordsOf } from './tokens.ts'

const MAY_BE = /^\s*(?:savepoint|release|rollback)\b/i

/**
 * Whether SQL is `SAVEPOINT name`, `RELEASE [SAVEPOINT] name` or `ROLLBACK [TRANSACTION] TO [SAVEPOINT] name`
 * (https://sqlite.org/lang_savepoint.html), and nothing else. In an interactive transaction, which is begun by BEGIN, none
 * of them can end it. A name of ours is not passed.
 */
export function isSavepoint(sql: string): boolean {
  if (!MAY_BE.test(sql) || sql.includes('\0') || statementsOf(sql).length !== 1) return false
  const [verb, ...rest] = wordsOf(sql, 8)
  if (rest.at(-1) === ';') rest.pop()
  if (verb === 'ROLLBACK') {
    if (rest[0] === 'TRANSACTION') rest.shift()
    if (rest.shift() !== 'TO') return false
  }
  if (verb !== 'SAVEPOINT' && rest[0] === 'SAVEPOINT') rest.shift()
  const [name, ...more] = rest
  return name !== undefined && more.length === 0 && !name.toLowerCase().includes('_conclave')
}
