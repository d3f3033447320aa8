import { ConclaveError } from '../errors/index.ts'
import { digestOf } from './key-store.ts'
import { MAX_BATCH, MAX_KEY_LENGTH, MAX_WRITES_SENT } from './limits.ts'
import type { SqlValue, StatementPair } from './types.ts'
import { paramsFromWire, type WireValue } from './values.ts'
import type { Work } from './writer.ts'

/** The reserved methods of the primary. All are sent as idempotent calls: numbers make the repeat safe. */
export const METHOD = {
  OPEN: '$db.open',
  WRITE: '$db.write',
  OUTCOME: '$db.outcome',
  BEGIN: '$db.begin',
  STEP: '$db.step',
  COMMIT: '$db.commit',
  ROLLBACK: '$db.rollback',
  BYE: '$db.bye',
} as const

export const METHODS: readonly string[] = Object.values(METHOD)

/** A write as it travels. One of `sql`, `batch`, `call` says what. */
export interface WireWrite {
  /** Its number: 1, 2, 3. */
  readonly n: number
  readonly key?: string | undefined
  readonly sql?: string | undefined
  /** Of `sql`, or of `call`. */
  readonly params?: unknown
  readonly batch?: readonly (readonly [string, readonly WireValue[]])[] | undefined
  /** A procedure's name. */
  readonly call?: string | undefined
}

/** Writes of one writer, by rising numbers; the answer is a list of theirs. */
export interface WireWrites {
  /** The writer: 128 random bits. */
  readonly w: string
  /** All numbers up to this one are settled at the writer. */
  readonly a: number
  readonly s: readonly WireWrite[]
}

export interface JobRequest {
  readonly type: 'job'
  readonly writer: string
  /** 0 for what is no write. */
  readonly number: number
  readonly watermark: number
  readonly work: Work
  readonly key: { readonly name: string; readonly digest: string } | undefined
  readonly bytes: number
}

/** A request as it is understood. */
export type Request =
  | JobRequest
  | { readonly type: 'writes'; readonly writer: string; readonly jobs: readonly JobRequest[] }
  | { readonly type: 'begin'; readonly writer: string; readonly session: number; readonly holdMs: number }
  | {
      readonly type: 'step'
      readonly writer: string
      readonly session: number
      readonly sql: string
      readonly params: readonly SqlValue[]
    }
  | {
      readonly type: 'commit'
      readonly writer: string
      readonly session: number
      readonly number: number
      readonly watermark: number
    }
  | { readonly type: 'rollback'; readonly writer: string; readonly session: number }

/** What a request counts for beside its text. */
const OVERHEAD_BYTES = 128

type Fields = Readonly<Record<string, unknown>>

/** @throws `INVALID_PARAMS` for what no member of ours sends */
export function parseRequest(method: string, params: unknown): Request {
  const fields = (typeof params === 'object' && params !== null ? params : {}) as Fields
  const writer = text(fields, 'w')
  switch (method) {
    case METHOD.OPEN:
      return job(writer, { type: 'open' })
    case METHOD.BYE:
      return job(writer, { type: 'bye' })
    case METHOD.OUTCOME:
      return fields['key'] === undefined
        ? job(writer, { type: 'outcome', of: text(fields, 'of'), number: whole(fields, 'n', 1) })
        : job(writer, { type: 'key', key: text(fields, 'key') })
    case METHOD.WRITE:
      return writes(writer, fields)
    case METHOD.BEGIN:
      return { type: 'begin', writer, session: whole(fields, 'x', 1), holdMs: whole(fields, 'ms', 1) }
    case METHOD.STEP: {
      const params = paramsFromWire(fields['params'])
      return { type: 'step', writer, session: whole(fields, 'x', 1), sql: text(fields, 'sql'), params }
    }
    case METHOD.COMMIT: {
      const numbers = { number: whole(fields, 'n', 1), watermark: whole(fields, 'a', 0) }
      return { type: 'commit', writer, session: whole(fields, 'x', 1), ...numbers }
    }
    case METHOD.ROLLBACK:
      return { type: 'rollback', writer, session: whole(fields, 'x', 1) }
    default:
      throw invalid(`The database knows no method ${method}.`)
  }
}

function job(writer: string, work: Work): JobRequest {
  return { type: 'job', writer, number: 0, watermark: 0, work, key: undefined, bytes: OVERHEAD_BYTES }
}

function writes(writer: string, fields: Fields): Request {
  const watermark = whole(fields, 'a', 0)
  const { s } = fields
  if (!Array.isArray(s) || s.length > MAX_WRITES_SENT) {
    throw invalid(`The field s of a database request is a list of at most ${MAX_WRITES_SENT} writes.`)
  }
  return { type: 'writes', writer, jobs: s.map((one: unknown) => write(writer, watermark, one)) }
}

function write(writer: string, watermark: number, given: unknown): JobRequest {
  const fields = (typeof given === 'object' && given !== null ? given : {}) as Fields
  const { key } = fields
  if (key !== undefined && (typeof key !== 'string' || key === '' || key.length > MAX_KEY_LENGTH)) {
    throw invalid(`A key has 1 to ${MAX_KEY_LENGTH} characters.`)
  }
  const { work, bytes } = workOf(fields)
  return {
    type: 'job',
    writer,
    number: whole(fields, 'n', 1),
    watermark,
    work,
    key:
      key === undefined
        ? undefined
        : { name: key, digest: digestOf([fields['sql'], fields['batch'], fields['call'], fields['params']]) },
    bytes: bytes + OVERHEAD_BYTES,
  }
}

function workOf(fields: Fields): { readonly work: Work; readonly bytes: number } {
  if (typeof fields['sql'] === 'string') {
    const statement: StatementPair = [fields['sql'], paramsFromWire(fields['params'])]
    return { work: { type: 'statements', statements: [statement], single: true }, bytes: bytesOf(statement) }
  }
  if (typeof fields['call'] === 'string') {
    const { call: name, params } = fields as { readonly call: string; readonly params?: unknown }
    return {
      work: { type: 'procedure', name, params },
      bytes: params === undefined ? 0 : JSON.stringify(params).length,
    }
  }
  const { batch } = fields
  if (!Array.isArray(batch) || batch.length > MAX_BATCH)
    throw invalid(`A batch is a list of at most ${MAX_BATCH} statements.`)
  const statements = batch.map((pair: unknown): StatementPair => {
    const [sql, params] = Array.isArray(pair) ? (pair as readonly unknown[]) : []
    if (typeof sql !== 'string') throw invalid('A statement of a batch is [sql, params].')
    return [sql, paramsFromWire(params)]
  })
  const bytes = statements.reduce((sum, statement) => sum + bytesOf(statement), 0)
  return { work: { type: 'statements', statements, single: false }, bytes }
}

function bytesOf([sql, params = []]: StatementPair): number {
  let bytes = sql.length
  for (const value of params) {
    bytes += typeof value === 'string' ? value.length : value instanceof Uint8Array ? value.byteLength : 8
  }
  return bytes
}

function text(fields: Fields, name: string): string {
  const value = fields[name]
  if (typeof value !== 'string' || value === '') throw invalid(`The field ${name} of a database request is a string.`)
  return value
}

function whole(fields: Fields, name: string, least: number): number {
  const value = fields[name]
  if (Number.isSafeInteger(value) && (value as number) >= least) return value as number
  throw invalid(`The field ${name} of a database request is a whole number of at least ${least}.`)
}

function invalid(message: string): ConclaveError {
  return new ConclaveError('INVALID_PARAMS', message, { outcome: 'not-committed' })
}
