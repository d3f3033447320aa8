import { ConclaveError, type Outcome } from '../errors/index.ts'
import type { Answer } from './answer.ts'
import { transact, type TransactionOptions } from './client-transaction.ts'
import { WriterIdentity } from './identity.ts'
import {
  MAX_BATCH,
  MAX_KEY_LENGTH,
  MAX_REMEMBERED_OUTCOMES,
  MAX_WRITE_TIMEOUT_MS,
  OUTCOME_TIMEOUT_MS,
  WRITE_TIMEOUT_MS,
} from './limits.ts'
import { Outbox, type Outgoing } from './outbox.ts'
import { METHOD, type WireWrite, type WireWrites } from './protocol.ts'
import { resultFromWire, valueOf, type WireResult } from './result.ts'
import type { AsyncTx, RunResult, SqlRow, SqlValue, StatementPair, WriteOptions } from './types.ts'
import { jsonText, statementToWire } from './values.ts'
import { refuseOver, until, type Until } from './wait.ts'

/**
 * Sends a request to the primary, as an idempotent call: it is repeated on a new link and to a new primary, in the order
 * of the calls, until its deadline. Resolves with the primary's answer as it came.
 */
export type Send = (method: string, params: unknown, options: Until) => Promise<unknown>

/** What is written: a write without its number. */
type Body = Omit<WireWrite, 'n' | 'key'>

export interface WriteClientOptions {
  readonly send: Send
  /** CLOCK_MONOTONIC, milliseconds. */
  readonly now: () => number
}

/**
 * The writing side of a member. It numbers its writes, says which are settled, and knows of each whether it is
 * committed, not committed, or unknown (rules A6, C4); who repeats what is `send`'s affair.
 */
export class WriteClient {
  readonly #send: Send
  readonly #now: () => number
  readonly #outbox: Outbox
  /** What became of writes that were given up, by key; it is being asked. */
  readonly #given = new Map<string, Promise<Outcome>>()
  readonly #closing = new AbortController()
  #writes = new WriterIdentity()
  /** Numbers of their own: a COMMIT runs while plain writes with lower numbers wait behind its transaction. */
  #transactions = new WriterIdentity()

  constructor({ send, now }: WriteClientOptions) {
    this.#send = send
    this.#now = now
    this.#outbox = new Outbox((identity, s, over) => this.#sendWrites(identity, s, over))
  }

  run<Row = SqlRow>(
    sql: string,
    params: readonly SqlValue[] = [],
    options: WriteOptions = {},
  ): Promise<RunResult<Row>> {
    const body = (): Body => {
      const [text, values] = statementToWire(sql, params)
      return { sql: text, params: values }
    }
    return this.#write<RunResult<Row>>(body, resultFromWire, options)
  }

  /** One transaction. */
  batch(statements: readonly StatementPair[], options: WriteOptions = {}): Promise<readonly RunResult<SqlRow>[]> {
    return this.#write(() => ({ batch: batchToWire(statements) }), resultsFromWire, options)
  }

  /** A procedure of the primary. What it returned; `undefined` for nothing. */
  call(name: string, params: unknown, options: WriteOptions = {}): Promise<unknown> {
    return this.#write(() => ({ call: name, params: copyOfParams(name, params) }), returnedFromWire, options)
  }

  /** An interactive transaction: it holds the only writer, for 2 s unless `timeoutMs` says otherwise (rule B11). */
  transaction<T>(work: (tx: AsyncTx) => Promise<T>, options: TransactionOptions = {}): Promise<T> {
    return transact(
      {
        opened: async (what, over) => {
          // What was written before goes before.
          const { opening } = this.#writes
          if (opening !== undefined) await until(opening, what, over, this.#now())
          const identity = await this.#opened(() => this.#transactions, what, over)
          this.#outbox.flush()
          return identity
        },
        ask: (identity, method, params, over) => this.#ask(identity, method, params, over),
        settle: (identity, number, write) => this.#settled(identity, number, write),
        now: this.#now,
      },
      work,
      options,
    )
  }

  /** What became of a write: `key` is the caller's own, or that of an error with outcome `unknown`. */
  async outcome(key: string): Promise<Outcome> {
    const given = this.#given.get(key)
    if (given !== undefined) {
      const outcome = await given
      if (outcome !== 'unknown') return outcome
    }
    const over = { deadline: this.#now() + OUTCOME_TIMEOUT_MS }
    const own = /^([\w-]{22}):(\d+)$/.exec(key)
    const w = this.#writes.id
    const question = own === null ? { w, key } : { w, of: own[1], n: Number(own[2]) }
    return valueOf(await this.#send(METHOD.OUTCOME, question, over)) as Outcome
  }

  /** There is a primary, maybe another: it may take a writer for gone that has not written to it (rule A6). */
  found(): void {
    const { signal } = this.#closing
    for (const { id, opened } of [this.#writes, this.#transactions]) {
      // It is told again by the next write, and to the next primary.
      if (opened)
        this.#send(METHOD.HERE, { w: id }, { deadline: this.#now() + WRITE_TIMEOUT_MS, signal }).catch(() => {})
    }
  }

  /**
   * What was written before leaves, and where nothing is open a goodbye behind it: the database need not remember this
   * member. Resolves when all of it is sent. Never rejects.
   */
  async close(deadline: number): Promise<void> {
    this.#closing.abort()
    const { opening } = this.#writes
    if (opening !== undefined) {
      await until(opening, 'The goodbye', { deadline }, this.#now()).catch(() => {})
      // Those that waited for it are numbered by then.
      await new Promise((resolve) => setImmediate(resolve))
    }
    this.#outbox.flush()
    const open = [this.#writes, this.#transactions].filter((identity) => identity.opened && !identity.unsettled)
    // What is still written is another writer's: one that said goodbye is not known any more.
    if (open.includes(this.#writes)) this.#writes = new WriterIdentity()
    if (open.includes(this.#transactions)) this.#transactions = new WriterIdentity()
    for (const { id } of open) {
      // One that was not heard is forgotten after a day.
      this.#send(METHOD.BYE, { w: id }, { deadline }).catch(() => {})
    }
  }

  /** No await where it is opened: writes are numbered and sent in the order they are called. */
  #write<T>(body: () => Body, read: (value: never) => T, options: WriteOptions): Promise<T> {
    try {
      const { key, signal } = options
      if (key !== undefined && (typeof key !== 'string' || key === '' || key.length > MAX_KEY_LENGTH)) {
        const text = `A key is a string of 1 to ${MAX_KEY_LENGTH} characters.`
        throw new ConclaveError('INVALID_OPTION', text, { outcome: 'not-committed' })
      }
      const made = body()
      const timeoutMs = Math.min(options.timeoutMs ?? WRITE_TIMEOUT_MS, MAX_WRITE_TIMEOUT_MS)
      const now = this.#now()
      const over: Until = { deadline: now + timeoutMs, signal }
      refuseOver('The write', over, now)
      const post = (identity: WriterIdentity): Promise<T> =>
        new Promise<T>((resolve, reject) => {
          const write: WireWrite = { n: identity.nextNumber(), key, ...made }
          const writing = new Writing(identity, write, read, resolve, reject, this.#failed)
          this.#outbox.add(identity, writing, timeoutMs, over.deadline, signal)
        })
      if (this.#writes.opened) return post(this.#writes)
      return this.#opened(() => this.#writes, 'The write', over).then((identity) => {
        refuseOver('The write', over, this.#now())
        return post(identity)
      })
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  /** The database knows this member: from here on its numbers count. */
  async #opened(which: () => WriterIdentity, what: string, over: Until): Promise<WriterIdentity> {
    const identity = which()
    if (identity.opened) return identity
    const open = identity.open(async (w) => {
      valueOf(await this.#send(METHOD.OPEN, { w }, { deadline: this.#now() + WRITE_TIMEOUT_MS }))
    })
    await until(open, what, over, this.#now())
    return identity
  }

  async #sendWrites(identity: WriterIdentity, s: WireWrites['s'], over: Until): Promise<readonly Answer[]> {
    const writes: WireWrites = { w: identity.id, a: identity.watermark, s }
    const answers = valueOf(await this.#send(METHOD.WRITE, writes, over))
    if (Array.isArray(answers) && answers.length === s.length) return answers as readonly Answer[]
    const text = 'The primary did not answer each of the writes: it is no version that this one works with.'
    throw new ConclaveError('PROTOCOL', text, { outcome: 'unknown' })
  }

  async #ask(identity: WriterIdentity, method: string, params: unknown, over: Until): Promise<unknown> {
    try {
      return valueOf(await this.#send(method, params, over))
    } catch (error) {
      this.#look(identity, error)
      throw error
    }
  }

  /** The database has forgotten this writer: it goes on under another id. */
  #look(identity: WriterIdentity, error: unknown): void {
    if (!ConclaveError.is(error, 'SESSION_EXPIRED')) return
    if (this.#writes === identity) this.#writes = new WriterIdentity()
    if (this.#transactions === identity) this.#transactions = new WriterIdentity()
  }

  async #settled(identity: WriterIdentity, number: number, write: Promise<unknown>): Promise<unknown> {
    try {
      const result = await write
      identity.settle(number)
      return result
    } catch (error) {
      throw this.#failed(identity, { n: number }, error)
    }
  }

  /**
   * A numbered write has failed. One whose end is unknown stays open until it is known what became of it (rule C4).
   * @returns the error for who made it
   */
  readonly #failed = (identity: WriterIdentity, { n: number, key }: WireWrite, error: unknown): unknown => {
    this.#look(identity, error)
    if (!ConclaveError.is(error) || error.outcome === 'committed' || error.outcome === 'not-committed') {
      identity.settle(number)
      return error
    }
    const { code, message, cause, reason, data } = error
    const name = key ?? `${identity.id}:${number}`
    if (code === 'SESSION_EXPIRED') identity.settle(number)
    else this.#remember(name, this.#askAfter(identity, number))
    return new ConclaveError(code, message, { cause, reason, data, outcome: 'unknown', key: name })
  }

  #remember(key: string, outcome: Promise<Outcome>): void {
    this.#given.delete(key)
    this.#given.set(key, outcome)
    if (this.#given.size <= MAX_REMEMBERED_OUTCOMES) return
    for (const oldest of this.#given.keys()) {
      this.#given.delete(oldest)
      break
    }
  }

  /** Never rejects. */
  async #askAfter(identity: WriterIdentity, number: number): Promise<Outcome> {
    try {
      const question = { w: identity.id, of: identity.id, n: number }
      const over = { deadline: this.#now() + OUTCOME_TIMEOUT_MS }
      return valueOf(await this.#send(METHOD.OUTCOME, question, over)) as Outcome
    } catch {
      return 'unknown'
    } finally {
      identity.settle(number)
    }
  }
}

/** A write between its number and its end: one object, and one promise. */
class Writing<T> implements Outgoing {
  readonly write: WireWrite
  readonly #identity: WriterIdentity
  readonly #read: (value: never) => T
  readonly #resolve: (value: T) => void
  readonly #reject: (error: unknown) => void
  readonly #onFailed: (identity: WriterIdentity, write: WireWrite, error: unknown) => unknown

  constructor(
    identity: WriterIdentity,
    write: WireWrite,
    read: (value: never) => T,
    resolve: (value: T) => void,
    reject: (error: unknown) => void,
    onFailed: (identity: WriterIdentity, write: WireWrite, error: unknown) => unknown,
  ) {
    this.#identity = identity
    this.write = write
    this.#read = read
    this.#resolve = resolve
    this.#reject = reject
    this.#onFailed = onFailed
  }

  answered(answer: Answer): void {
    let value: T
    try {
      value = this.#read(valueOf(answer) as never)
    } catch (error) {
      this.failed(error)
      return
    }
    this.#identity.settle(this.write.n)
    this.#resolve(value)
  }

  failed(error: unknown): void {
    this.#reject(this.#onFailed(this.#identity, this.write, error))
  }
}

/**
 * As they are now: they leave later, with other writes, which must not fail for them.
 * @throws `INVALID_PARAMS`
 */
function copyOfParams(name: string, params: unknown): unknown {
  const refuse = (why: string, cause?: unknown): never => {
    const text = `The params of the write ${name} can't be sent as JSON: ${why}.`
    throw new ConclaveError('INVALID_PARAMS', text, { cause, outcome: 'not-committed' })
  }
  if (params === undefined) return undefined
  let text: string | undefined
  try {
    text = jsonText(params)
  } catch (error) {
    refuse((error as Error).message.split('\n', 1)[0]!, error)
  }
  return text === undefined ? refuse(`they are a ${typeof params}`) : (JSON.parse(text) as unknown)
}

/** @throws `TOO_LARGE`, `INVALID_PARAMS` */
function batchToWire(statements: readonly StatementPair[]): NonNullable<WireWrite['batch']> {
  if (!Array.isArray(statements) || !statements.every((pair) => Array.isArray(pair))) {
    const text = 'A batch is a list of statements, each a list: [sql, params].'
    throw new ConclaveError('INVALID_PARAMS', text, { outcome: 'not-committed' })
  }
  if (statements.length > MAX_BATCH) {
    const text = `A batch has at most ${MAX_BATCH} statements, this one has ${statements.length}.`
    throw new ConclaveError('TOO_LARGE', text, { outcome: 'not-committed' })
  }
  return statements.map(([sql, params = []]) => statementToWire(sql, params))
}

function resultsFromWire(results: readonly WireResult[]): readonly RunResult<SqlRow>[] {
  return results.map((result) => resultFromWire<SqlRow>(result))
}

function returnedFromWire(value: unknown): unknown {
  return value ?? undefined
}
