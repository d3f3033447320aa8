import { ConclaveError } from '../errors/index.ts'
import { digestOf } from './key-store.ts'
import { MAX_BATCH, MAX_KEY_LENGTH, MAX_WRITES_SENT } from './limits.ts'
import type { SqlValue, StatementPair } from './types.ts'
import { paramsFromWire, type WireValue } from './values.ts'
import type { Job, Work } from './writer.ts'

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
  HERE: '$db.here',
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

/** The parameters of a write with the next number, of the same statement as the write before it, and without a key. */
export type WireRepeat = readonly WireValue[]

/** Writes of one writer, by rising numbers; the answer is a list of theirs. */
export interface WireWrites {
  /** The writer: 128 random bits. */
  readonly w: string
  /** All numbers up to this one are settled at the writer. */
  readonly a: number
  readonly s: readonly (WireWrite | WireRepeat)[]
}

export interface JobsRequest {
  readonly type: 'jobs'
  readonly writer: string
  readonly jobs: readonly Job[]
  /** Writes: the answer is a list. Else there is one job, and its answer is that of the request. */
  readonly writes: boolean
  readonly bytes: number
}

export interface BeginRequest {
  readonly type: 'begin'
  readonly writer: string
  readonly session: number
  readonly holdMs: number
}

/** A request as it is understood. */
export type Request =
  | JobsRequest
  | BeginRequest
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

/**
 * @param deadline of all that is asked for
 * @throws `INVALID_PARAMS` for what no member of ours sends
 */
export function parseRequest(method: string, params: unknown, deadline: number): Request {
  const fields = (typeof params === 'object' && params !== null ? params : {}) as Fields
  const writer = text(fields, 'w')
  switch (method) {
    case METHOD.OPEN:
      return question(writer, { type: 'open' }, deadline)
    case METHOD.BYE:
      return question(writer, { type: 'bye' }, deadline)
    case METHOD.HERE:
      return question(writer, { type: 'here' }, deadline)
    case METHOD.OUTCOME:
      return fields['key'] === undefined
        ? question(writer, { type: 'outcome', of: text(fields, 'of'), number: whole(fields, 'n', 1) }, deadline)
        : question(writer, { type: 'key', key: text(fields, 'key') }, deadline)
    case METHOD.WRITE:
      return writes(writer, fields, deadline)
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

function question(writer: string, work: Work, deadline: number): JobsRequest {
  const job: Job = { writer, number: 0, watermark: 0, work, key: undefined, deadline }
  return { type: 'jobs', writer, jobs: [job], writes: false, bytes: OVERHEAD_BYTES }
}

function writes(writer: string, fields: Fields, deadline: number): JobsRequest {
  const watermark = whole(fields, 'a', 0)
  const { s } = fields
  if (!Array.isArray(s) || s.length === 0 || s.length > MAX_WRITES_SENT) {
    throw invalid(`The field s of a database request is a list of 1 to ${MAX_WRITES_SENT} writes.`)
  }
  const jobs: Job[] = []
  let number = 0
  let bytes = 0
  let sql: string | undefined
  for (const given of s as readonly unknown[]) {
    let work: Work
    let key: Job['key']
    if (Array.isArray(given)) {
      if (sql === undefined) throw invalid('A list of parameters follows a write of one statement.')
      number++
      work = { type: 'statement', sql, params: paramsFromWire(given) }
    } else {
      const write = (typeof given === 'object' && given !== null ? given : {}) as Fields
      const above = number
      number = whole(write, 'n', above + 1)
      work = workOf(write)
      key = keyOf(write)
      sql = work.type === 'statement' ? work.sql : undefined
    }
    bytes += bytesOfWork(work) + OVERHEAD_BYTES
    jobs.push({ writer, number, watermark, work, key, deadline })
  }
  return { type: 'jobs', writer, jobs, writes: true, bytes }
}

function keyOf({ key, sql, batch, call, params }: Fields): Job['key'] {
  if (key === undefined) return undefined
  if (typeof key !== 'string' || key === '' || key.length > MAX_KEY_LENGTH) {
    throw invalid(`A key has 1 to ${MAX_KEY_LENGTH} characters.`)
  }
  return { name: key, digest: digestOf([sql, batch, call, params]) }
}

function workOf(fields: Fields): Work {
  const { sql, params, call, batch } = fields
  if (typeof sql === 'string') return { type: 'statement', sql, params: paramsFromWire(params) }
  if (typeof call === 'string') return { type: 'procedure', name: call, params }
  if (!Array.isArray(batch) || batch.length > MAX_BATCH)
    throw invalid(`A batch is a list of at most ${MAX_BATCH} statements.`)
  const statements = batch.map((pair: unknown): StatementPair => {
    const [text, values] = Array.isArray(pair) ? (pair as readonly unknown[]) : []
    if (typeof text !== 'string') throw invalid('A statement of a batch is [sql, params].')
    return [text, paramsFromWire(values)]
  })
  return { type: 'batch', statements }
}

function bytesOfWork(work: Work): number {
  if (work.type === 'statement') return bytesOf(work.sql, work.params)
  if (work.type === 'batch') return work.statements.reduce((sum, [sql, params]) => sum + bytesOf(sql, params), 0)
  return work.type === 'procedure' && work.params !== undefined ? JSON.stringify(work.params).length : 0
}

function bytesOf(sql: string, params: readonly SqlValue[] = []): number {
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
