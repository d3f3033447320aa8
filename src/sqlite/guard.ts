import { ConclaveError } from '../errors/index.ts'
import { statementsOf, wordsOf } from './tokens.ts'

/**
 * Where SQL is about to run: `read` on a reader's connection; `write` in a group that others share; `own` in a
 * transaction of its own (a session, a migration).
 */
export type Place = 'read' | 'write' | 'own'

export interface Allowed {
  /** Changes the schema. */
  readonly definition: boolean
  /** May change rows: SQLite's count is its own then, else that of the statement before it. */
  readonly changesRows: boolean
}

const READS: ReadonlySet<string> = new Set(['SELECT', 'VALUES', 'WITH'])
const WRITES: ReadonlySet<string> = new Set(['INSERT', 'REPLACE', 'UPDATE', 'DELETE'])
const UPKEEP: ReadonlySet<string> = new Set(['REINDEX', 'ANALYZE'])
const DEFINITIONS: ReadonlySet<string> = new Set(['CREATE', 'DROP', 'ALTER'])

const HINTS: Readonly<Record<string, string>> = {
  BEGIN: 'use db.transaction(async (tx) => ...), db.batch([...]) or a procedure: they begin and end by themselves',
  COMMIT: 'a transaction commits by itself when its callback, batch or procedure ends',
  END: 'a transaction commits by itself when its callback, batch or procedure ends',
  ROLLBACK: 'throw inside the transaction or procedure to roll it back',
  SAVEPOINT: 'each write has a savepoint of its own; others work inside db.transaction(async (tx) => ...)',
  RELEASE: 'each write has a savepoint of its own; others work inside db.transaction(async (tx) => ...)',
  ATTACH: 'join with another database, or copy what you need',
  DETACH: 'join with another database, or copy what you need',
  VACUUM: 'close all members and run it with the sqlite3 program',
}

/** Pragmas that only tell, with the argument that says of what. */
const TELLING: ReadonlySet<string> = new Set([
  'table_info',
  'table_xinfo',
  'table_list',
  'index_list',
  'index_info',
  'index_xinfo',
  'foreign_key_list',
  'foreign_key_check',
  'integrity_check',
  'quick_check',
])
/** Pragmas that tell as long as they are given no value. */
const TELLING_BARE: ReadonlySet<string> = new Set([
  'application_id',
  'collation_list',
  'compile_options',
  'data_version',
  'database_list',
  'encoding',
  'foreign_keys',
  'freelist_count',
  'function_list',
  'journal_mode',
  'page_count',
  'page_size',
  'schema_version',
  'synchronous',
  'user_version',
])
/** Pragmas that write, and are undone with the transaction. */
const SETTING: ReadonlySet<string> = new Set(['user_version', 'application_id'])
/** Holds until the end of the transaction, so it must be one's own. */
const SETTING_OWN: ReadonlySet<string> = new Set(['defer_foreign_keys'])

/**
 * Refuses what would end or leave the transaction that a write runs in (rule A3), or reach past the one file. What is
 * allowed is a list, so that what SQLite skips and we do not is refused, not passed.
 * @param sql one statement, with nothing behind it
 * @throws `INVALID_PARAMS` with a hint
 */
export function guard(sql: string, place: Place): Allowed {
  const statements = splitSql(sql)
  const [first, second] = statements
  if (first === undefined) throw refused('The SQL holds no statement.')
  if (second !== undefined) {
    const text = `Text after the first statement (${excerpt(second)}) would be dropped in silence: use db.batch([...]), or exec() inside a procedure or migration.`
    throw refused(text)
  }
  return guardOne(first, place)
}

/** As `guard`, for any number of statements. */
export function guardAll(sql: string, place: Place): Allowed {
  let [definition, changesRows] = [false, false]
  for (const statement of splitSql(sql)) {
    const allowed = guardOne(statement, place)
    definition ||= allowed.definition
    changesRows ||= allowed.changesRows
  }
  return { definition, changesRows }
}

function splitSql(sql: string): string[] {
  if (typeof sql !== 'string') throw refused('SQL is a string.')
  if (sql.includes('\0')) throw refused('SQL holds no NUL: what follows it would be dropped in silence.')
  return statementsOf(sql)
}

function guardOne(statement: string, place: Place): Allowed {
  const words = wordsOf(statement, 8)
  if (words[0] === 'EXPLAIN') words.splice(0, words[1] === 'QUERY' && words[2] === 'PLAN' ? 3 : 1)
  const [verb = ''] = words
  if (verb === 'PRAGMA') return guardPragma(statement, words, place)
  // After WITH any of them may come.
  if (READS.has(verb)) return { definition: false, changesRows: verb === 'WITH' }
  const hint = HINTS[verb]
  if (hint !== undefined) throw refused(`${verb} is not for SQL text: ${hint}.`)
  if (!WRITES.has(verb) && !UPKEEP.has(verb) && !DEFINITIONS.has(verb)) {
    throw refused(`${excerpt(statement)} begins with no statement that is known here.`)
  }
  if (place === 'read') throw refused(`${verb} is a write, and db.read only reads: use db.run(), or a procedure.`)
  if (verb === 'CREATE' && isTemporary(words)) {
    throw refused('What is TEMP would live in the connection of one primary, and go with it: create it without TEMP.')
  }
  return { definition: DEFINITIONS.has(verb), changesRows: WRITES.has(verb) }
}

/** `CREATE TEMP TABLE x`, or `CREATE TABLE temp.x`, which is the same. */
function isTemporary([, second = '', ...rest]: readonly string[]): boolean {
  if (second === 'TEMP' || second === 'TEMPORARY') return true
  if (second === 'UNIQUE' || second === 'VIRTUAL') rest.shift()
  if (rest[0] === 'IF' && rest[1] === 'NOT') rest.splice(0, 3)
  const [schema = '', dot] = rest
  return dot === '.' && /^["'`[]?temp["'`\]]?$/i.test(schema)
}

function guardPragma(statement: string, words: readonly string[], place: Place): Allowed {
  const [, first = '', dot, second = ''] = words
  const name = (dot === '.' ? second : first).toLowerCase()
  const rest = words.slice(dot === '.' ? 4 : 2)
  const bare = rest.length === 0
  const allowed =
    TELLING.has(name) ||
    (bare && TELLING_BARE.has(name)) ||
    (place !== 'read' && SETTING.has(name)) ||
    (place === 'own' && SETTING_OWN.has(name))
  if (allowed) return { definition: false, changesRows: false }
  if (SETTING_OWN.has(name)) {
    throw refused(
      `PRAGMA ${name} lasts until COMMIT and would reach other members' writes: use it in db.transaction().`,
    )
  }
  const why =
    name === 'wal_checkpoint'
      ? 'only the writing connection of the primary checkpoints'
      : 'it changes a connection that others share'
  throw refused(`${excerpt(statement)} is refused: ${why}.`)
}

function refused(text: string): ConclaveError {
  return new ConclaveError('INVALID_PARAMS', text, { outcome: 'not-committed' })
}

function excerpt(sql: string): string {
  const line = sql.trim().replace(/\s+/g, ' ')
  return JSON.stringify(line.length <= 40 ? line : `${line.slice(0, 40)}…`)
}
