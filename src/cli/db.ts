import { ConclaveError } from '../errors/index.ts'
import { join, type Member } from '../index.ts'
import type { SqlValue } from '../member/database.ts'
import { isRead } from '../sqlite/is-read.ts'
import type { Given } from './args.ts'
import { PLACE, WAIT } from './common.ts'
import { withMember } from './connect.ts'
import { cellOf, exact, parameterOf } from './db-values.ts'
import { EXIT } from './exit.ts'
import { readInput } from './input.ts'
import { printable, type Output } from './output.ts'
import { table } from './table.ts'
import type { Surroundings, Verb } from './verb.ts'

/** The primary was there a moment ago. */
const JOIN_MS = 5_000
const CLOSE_MS = 1_000

type Row = Readonly<Record<string, SqlValue>>

export const db: Verb = {
  usage: '<sql|-> [json]... [--watch] [--key KEY] [--timeout MS] [--json]',
  about: `Reads or writes the workspace's database while its members run. What reads runs here, on a connection of its own;
what writes goes to the primary, as any member's write does. Parameters for the ? of the statement follow it: null,
numbers (negative ones behind --), "text" in JSON's quotes, {"base64":"…"} for bytes. - reads the SQL from standard
input. With --json a read prints its rows as one list, a write { changes, lastInsertRowid, rows }. Exit 3 when nobody is
primary, 1 when SQLite or the primary refuses.`,
  words: [1, Infinity],
  options: {
    watch: { type: 'boolean', help: 'print the rows again whenever a table they come from changes, until Ctrl-C' },
    key: { type: 'string', value: 'KEY', help: 'a write happens once under this key, however often it is sent' },
    timeout: { type: 'string', value: 'MS', help: 'how long a write may take (default: 30000)' },
    ...PLACE,
    ...WAIT,
  },
  examples: [
    `conclave db 'select * from note where id > ?' 10`,
    `conclave db 'insert into note(text) values (?)' '"hello"'`,
    `conclave db 'select count(*) from note' --watch`,
  ],
  run: async (given, around) => {
    const [word = '', ...words] = given.words
    const params = words.map(parameterOf)
    const timeoutMs = given.number('timeout', { min: 1 })
    const { signal } = around
    const sql = word === '-' ? await readInput('The SQL', signal) : word
    return withMember(given, { signal }, (observer) =>
      withDatabase(observer, given, signal, async (database) => {
        if (given.has('watch')) return watch(database, { sql, params }, given, around)
        if (isRead(sql)) {
          const rows = around.untilSignal(() => database.read.prepare<Row>(sql).all(...params))
          await printRows(around.out, rows, given.has('json'))
          return EXIT.ok
        }
        const writing = database.run<Row>(sql, params, { key: given.text('key'), timeoutMs, signal })
        const done = await writing.catch((error: unknown) => Promise.reject(withOutcome(error)))
        if (given.has('json')) await around.out.json(exact(done))
        else if (done.rows.length > 0) await printRows(around.out, done.rows, false)
        else await around.out.line(`${done.changes} ${done.changes === 1 ? 'row' : 'rows'} changed`)
        return EXIT.ok
      }),
    )
  },
}

/** A member that has the database which the primary says it serves. */
async function withDatabase<T>(
  observer: Member,
  given: Given,
  signal: AbortSignal,
  work: (database: Member['db']) => Promise<T>,
): Promise<T> {
  const { database } = await observer.inspect()
  if (database === undefined) {
    const why = `The primary of ${observer.workspace} serves no database: it joined without the \`database\` option.`
    throw new ConclaveError('NO_DATABASE', why)
  }
  const { file, durability } = database
  const app = given.text('app')
  const options = { name: 'conclave', app, primary: 'never', waitMs: JOIN_MS, database: { file, durability } } as const
  const member = await join(observer.workspace, options)
  const stop = (): void => member.abort()
  signal.addEventListener('abort', stop)
  try {
    return await work(member.db)
  } finally {
    signal.removeEventListener('abort', stop)
    await member.close({ timeoutMs: CLOSE_MS })
  }
}

/** The sentence of a write whose end nobody knows says so. */
export function withOutcome(error: unknown): unknown {
  if (!ConclaveError.is(error) || error.outcome !== 'unknown') return error
  const { code, message, outcome, key } = error
  const text = `${message} Whether it was written is unknown: look, or run it with --key, which makes a second run harmless.`
  return new ConclaveError(code, text, { cause: error, outcome, key })
}

async function watch(
  database: Member['db'],
  { sql, params }: { readonly sql: string; readonly params: readonly SqlValue[] },
  given: Given,
  { out, signal }: Surroundings,
): Promise<number> {
  const json = given.has('json')
  for await (const rows of database.watch<Row>(sql, params, { signal })) {
    if (!json) await out.line(out.style('dim', `--- ${new Date().toISOString().slice(11, 23)} ---`))
    await printRows(out, rows, json)
    if (out.broken) break
  }
  signal.throwIfAborted()
  return EXIT.ok
}

async function printRows(out: Output, rows: readonly Row[], json: boolean): Promise<void> {
  if (json) return out.json(exact(rows))
  const columns = Object.keys(rows[0] ?? {})
  if (rows.length === 0) return out.line(out.style('dim', 'no rows'))
  const [head = '', ...lines] = table(
    columns.map(printable),
    rows.map((row) => columns.map((column) => cellOf(row[column] ?? null))),
  )
  await out.line(out.style('bold', head))
  for (const line of lines) await out.line(line)
}
