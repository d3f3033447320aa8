import { ConclaveError } from '../errors/index.ts'
import type { SqlRow, SqlValue } from './types.ts'

/** A value as JSON carries it: what JSON holds exactly stays as it is, the rest is an object with one field. */
export type WireValue =
  | null
  | number
  | string
  /** bigint, decimal */
  | { readonly i: string }
  /** bytes, base64 */
  | { readonly b: string }
  /** a number that JSON can't hold: -0, or an infinity that SQL made */
  | { readonly n: string }

/** Rows as lists: what objects lose where two columns have one name is in them. */
export interface Table {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly SqlValue[])[]
}

/** Rows as they travel: the names once. */
export interface WireRows {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly WireValue[])[]
}

/**
 * Refuses what SQLite would change in silence: NaN becomes NULL there, and an infinity is no JSON.
 * @throws `INVALID_PARAMS` that names the place
 */
export function checkParams(params: readonly unknown[]): asserts params is readonly SqlValue[] {
  for (let at = 0; at < params.length; at++) {
    const refused = refusal(params[at])
    if (refused === undefined) continue
    throw invalid(`Parameter ${at + 1} of the statement is ${refused}.`)
  }
}

const MAX_INT64 = 2n ** 63n

function refusal(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return undefined
    case 'number':
      return Number.isFinite(value) ? undefined : `${value}, which no column keeps: use null, or text`
    case 'bigint':
      return value >= -MAX_INT64 && value < MAX_INT64 ? undefined : 'a bigint of more than 64 bits: use text or bytes'
    case 'boolean':
      return 'a boolean, which SQLite does not have: use 1 and 0'
    case 'undefined':
      return 'undefined: use null'
    case 'object':
      if (value === null || value instanceof Uint8Array) return undefined
      if (value instanceof Date) return 'a Date: use its text (toISOString()) or number (getTime())'
      return 'an object: use text (JSON.stringify()) or bytes (a Uint8Array)'
    default:
      return `a ${typeof value}: use null, a number, a bigint, a string or a Uint8Array`
  }
}

export function toWire(value: SqlValue): WireValue {
  switch (typeof value) {
    case 'string':
      return value
    case 'number':
      return Number.isFinite(value) && !Object.is(value, -0) ? value : { n: Object.is(value, -0) ? '-0' : `${value}` }
    case 'bigint':
      return { i: value.toString() }
    default:
      return value === null
        ? null
        : { b: Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') }
  }
}

/** @throws `INVALID_PARAMS` for what `toWire` never makes */
export function fromWire(value: unknown): SqlValue {
  if (typeof value === 'string' || typeof value === 'number' || value === null) return value
  if (typeof value === 'object') {
    const { i, b, n } = value as { readonly i?: unknown; readonly b?: unknown; readonly n?: unknown }
    if (typeof i === 'string' && /^-?\d{1,20}$/.test(i)) return BigInt(i)
    if (typeof b === 'string') return new Uint8Array(Buffer.from(b, 'base64'))
    if (n === '-0' || n === 'Infinity' || n === '-Infinity') return Number(n)
  }
  throw invalid('A value that no member of this version sends stands among the parameters.')
}

/**
 * A statement as it travels. What is none is refused where it was made: it leaves with others, which must not fail for it.
 * @throws `INVALID_PARAMS`
 */
export function statementToWire(sql: string, params: readonly SqlValue[]): [sql: string, params: readonly WireValue[]] {
  if (typeof sql !== 'string') throw invalid('SQL is a string.')
  if (!Array.isArray(params)) {
    throw invalid('Parameters of a statement are a list, for the placeholders ? or ?1: names like :a are not bound.')
  }
  checkParams(params)
  return [sql, params.map(toWire)]
}

/** @throws `INVALID_PARAMS` */
export function paramsFromWire(params: unknown): readonly SqlValue[] {
  if (params === undefined) return []
  if (!Array.isArray(params)) throw invalid('Parameters of a statement are a list.')
  return params.map(fromWire)
}

/**
 * The text of a procedure's params or result, as `JSON.stringify`, which makes an object of numbers out of bytes in silence.
 * @throws `TypeError` for what JSON does not hold
 */
export function jsonText(value: unknown): string | undefined {
  // By its holder: what a Buffer says of itself to JSON is no bytes any more.
  return JSON.stringify(value, function (this: Readonly<Record<string, unknown>>, name: string, held: unknown) {
    if (held instanceof Uint8Array || this[name] instanceof Uint8Array)
      throw new TypeError('bytes are no JSON, use text, as in base64')
    return held
  }) as string | undefined
}

function invalid(text: string): ConclaveError {
  return new ConclaveError('INVALID_PARAMS', text, { outcome: 'not-committed' })
}

export function tableToWire({ columns, rows }: Table): WireRows {
  return { columns, rows: rows.map((row) => row.map(toWire)) }
}

/** Rows have no prototype, as those of node:sqlite: a column may have any name. */
export function rowsFromWire({ columns, rows }: WireRows): SqlRow[] {
  return rows.map((values) => {
    const row = Object.create(null) as SqlRow
    for (let at = 0; at < columns.length; at++) row[columns[at]!] = fromWire(values[at])
    return row
  })
}

/** An integer as a number where that is exact. */
export function narrow(value: SqlValue): SqlValue {
  return typeof value === 'bigint' && value >= MIN_SAFE && value <= MAX_SAFE ? Number(value) : value
}

const MIN_SAFE = BigInt(Number.MIN_SAFE_INTEGER)
const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER)
