import { errorFromWire } from '../errors/index.ts'
import type { RunResult, SqlRow, SqlValue } from './types.ts'
import { fromWire, rowsFromWire, type WireRows, type WireValue } from './values.ts'

/** The result of a statement as it travels and is stored: changes, last rowid, and rows if it yields any. */
export type WireResult = readonly [changes: number, lastInsertRowid: WireValue, rows?: WireRows]

/** Rows that objects do not hold wholly, as lists. Beside the result: who reads its rows as objects pays nothing. */
const LISTS = new WeakMap<readonly unknown[], readonly (readonly WireValue[])[]>()

export function resultFromWire<Row>([changes, rowid, table]: WireResult): RunResult<Row> {
  const rows = table === undefined ? [] : rowsFromWire(table)
  const first = rows[0]
  if (first !== undefined && !isFaithful(first, table!.columns)) LISTS.set(rows, table!.rows)
  return { changes, lastInsertRowid: fromWire(rowid) as number | bigint, rows: rows as Row[] }
}

/** Each row of a result as a list, in the order of its columns, also where two of them have one name. */
export function listsOf({ rows }: Pick<RunResult<unknown>, 'rows'>): SqlValue[][] {
  const lists = LISTS.get(rows)
  return lists === undefined
    ? rows.map((row) => Object.values(row as SqlRow))
    : lists.map((values) => values.map(fromWire))
}

/** Two columns of one name are one in an object, and numbers go to the front. */
function isFaithful(row: SqlRow, columns: readonly string[]): boolean {
  let at = 0
  for (const column in row) if (column !== columns[at++]) return false
  return at === columns.length
}

/** The value of an answer that came over the wire. @throws what the primary answered */
export function valueOf(answer: unknown): unknown {
  const { ok, error } = answer as { readonly ok?: unknown; readonly error?: unknown }
  if (error !== undefined) throw errorFromWire(error)
  return ok
}
