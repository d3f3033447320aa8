import { errorFromWire } from '../errors/index.ts'
import type { RunResult } from './types.ts'
import { fromWire, rowsFromWire, type WireRows, type WireValue } from './values.ts'

/** The result of a statement as it travels and is stored: changes, last rowid, and rows if it yields any. */
export type WireResult = readonly [changes: number, lastInsertRowid: WireValue, rows?: WireRows]

export function resultFromWire<Row>([changes, rowid, rows]: WireResult): RunResult<Row> {
  return {
    changes,
    lastInsertRowid: fromWire(rowid) as number | bigint,
    rows: rows === undefined ? [] : (rowsFromWire(rows) as Row[]),
  }
}

/** The value of an answer that came over the wire. @throws what the primary answered */
export function valueOf(answer: unknown): unknown {
  const { ok, error } = answer as { readonly ok?: unknown; readonly error?: unknown }
  if (error !== undefined) throw errorFromWire(error)
  return ok
}
