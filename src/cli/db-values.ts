import type { SqlValue } from '../member/database.ts'
import { UsageError } from './exit.ts'
import { printable } from './output.ts'

const CELL_WIDTH = 60

/** For people, in one line. */
export function cellOf(value: SqlValue): string | number {
  if (typeof value === 'number') return value
  const said =
    value === null
      ? 'null'
      : value instanceof Uint8Array
        ? `x'${Buffer.from(value).toString('hex')}'`
        : printable(`${value}`)
  return said.length <= CELL_WIDTH ? said : `${said.slice(0, CELL_WIDTH - 1)}…`
}

/** JSON has no bound for integers: those beyond 2^53 are printed with all their digits. Bytes are `{ base64 }`. */
export function exact(value: unknown): unknown {
  if (typeof value === 'bigint') return rawJson(String(value))
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString('base64') }
  if (Array.isArray(value)) return value.map(exact)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, exact(inner)]))
}

/** V8 has it since Node 21; TypeScript's library does not know it yet. */
const { rawJSON: rawJson } = JSON as unknown as { readonly rawJSON: (text: string) => unknown }

/** A word of the command line, for SQLite. @throws UsageError */
export function parameterOf(word: string, at: number): SqlValue {
  if (/^-?\d{16,}$/.test(word)) return BigInt(word)
  let value: unknown
  try {
    value = JSON.parse(word)
  } catch {
    const hint = `Text is quoted twice: '${JSON.stringify(word)}'.`
    throw new UsageError(`Parameter ${at + 1} must be JSON, not ${printable(word)}. ${hint}`)
  }
  if (value === null || typeof value === 'number' || typeof value === 'string') return value
  const bytes = typeof value === 'object' ? (value as { readonly base64?: unknown }).base64 : undefined
  if (typeof bytes === 'string') return Buffer.from(bytes, 'base64')
  const cure = typeof value === 'boolean' ? 'use 1 and 0' : `quote it to store it as text`
  throw new UsageError(`Parameter ${at + 1} is what SQLite does not store: ${cure}.`)
}
