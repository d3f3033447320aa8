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
import { Outbox } from './outbox.ts'
import { METHOD, type WireWrite, type WireWrites } from './protocol.ts'
import { resultFromWire, valueOf, type WireResult } from './result.ts'
import type { AsyncTx, RunResult, SqlRow, SqlValue, StatementPair, WriteOptions } from './types.ts'
import { paramsToWire } from './values.ts'
import { refuseOver, until, type Until } from './wait.ts'

/**
 * Sends a request to the primary, as an idempotent call: it is repeated on a new link and to a new primary, in the order
 * of the calls, until its deadline. Resolves with the primary's answer as it came.
 */
export type Send = (method: string, params: unknown, options: Until) => Promise<unknown>

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
  #writes = new WriterIdentity()
  /** Numbers of their own: a COMMIT runs while plain writes with lower numbers wait behind its transaction. */
  #transactions = new WriterIdentity()

  constructor({ send, now }: WriteClientOptions) {
    this.#send = send
    this.#now = now
    this.#outbox = new Outbox((identity, s, over) => this.#sendWrites(identity, s, over))
  }

  async run<Row = SqlRow>(
    sql: string,
    params: readonly SqlValue[] = [],
    options: WriteOptions = {},
  ): Promise<RunResult<Row>> {
    const result = await this.#write({ sql, params: paramsToWire(params) }, options)
    return resultFromWire<Row>(result as WireResult)
  }

  /** One transaction. */
  async batch(statements: readonly StatementPair[], options: WriteOptions = {}): Promise<readonly RunResult<SqlRow>[]> {
    if (statements.length > MAX_BATCH) {
      const text = `A batch has at most ${MAX_BATCH} statements, this one has ${statements.length}.`
      throw new ConclaveError('TOO_LARGE', text, { outcome: 'not-committed' })
    }
    const batch = statements.map(([sql, params = []]) => [sql, paramsToWire(params)] as const)
    const results = (await this.#write({ batch }, options)) as readonly WireResult[]
    return results.map((result) => resultFromWire<SqlRow>(result))
  }

  /** A procedure of the primary. What it returned; `undefined` for nothing. */
  async call(name: string, params: unknown, options: WriteOptions = {}): Promise<unknown> {
    return (await this.#write({ call: name, params }, options)) ?? undefined
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
        settle: (identity, number, write) => this.#settle(identity, number, undefined, write),
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

  /**
   * What was written before leaves, and where nothing is open a goodbye behind it: the database need not remember this
   * member. Resolves when all of it is sent. Never rejects.
   */
  async close(deadline: number): Promise<void> {
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

  async #write(body: Partial<WireWrite>, options: WriteOptions): Promise<unknown> {
    const { key } = options
    if (key !== undefined && (key === '' || key.length > MAX_KEY_LENGTH)) {
      throw new ConclaveError('INVALID_OPTION', `A key has 1 to ${MAX_KEY_LENGTH} characters.`, {
        outcome: 'not-committed',
      })
    }
    const timeoutMs = Math.min(options.timeoutMs ?? WRITE_TIMEOUT_MS, MAX_WRITE_TIMEOUT_MS)
    const over: Until = { deadline: this.#now() + timeoutMs, signal: options.signal }
    // No await once it is opened: writes are numbered and sent in the order they are called.
    const identity = this.#writes.opened ? this.#writes : await this.#opened(() => this.#writes, 'The write', over)
    refuseOver('The write', over, this.#now())
    const number = identity.nextNumber()
    const write = this.#outbox.add(identity, { n: number, key, ...body }, { ...over, timeoutMs })
    return this.#settle(identity, number, key, write)
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

  async #sendWrites(identity: WriterIdentity, s: readonly WireWrite[], over: Until): Promise<readonly Answer[]> {
    const writes: WireWrites = { w: identity.id, a: identity.watermark, s }
    const answers = valueOf(await this.#send(METHOD.WRITE, writes, over)) as readonly Answer[]
    for (const answer of answers) this.#look(identity, answer)
    return answers
  }

  async #ask(identity: WriterIdentity, method: string, params: unknown, over: Until): Promise<unknown> {
    const answer = (await this.#send(method, params, over)) as Answer
    this.#look(identity, answer)
    return valueOf(answer)
  }

  /** The database has forgotten this writer: it goes on under another id. */
  #look(identity: WriterIdentity, answer: Answer): void {
    const expired = 'error' in answer && answer.error.data?.code === 'SESSION_EXPIRED'
    if (!expired) return
    if (this.#writes === identity) this.#writes = new WriterIdentity()
    if (this.#transactions === identity) this.#transactions = new WriterIdentity()
  }

  /** The end of a numbered write. One whose end is unknown stays open until it is known what became of it (rule C4). */
  async #settle(
    identity: WriterIdentity,
    number: number,
    key: string | undefined,
    write: Promise<unknown>,
  ): Promise<unknown> {
    try {
      const result = await write
      identity.settle(number)
      return result
    } catch (error) {
      if (!ConclaveError.is(error) || error.outcome === 'committed' || error.outcome === 'not-committed') {
        identity.settle(number)
        throw error
      }
      const { code, message, cause, reason, data } = error
      const name = key ?? `${identity.id}:${number}`
      if (code === 'SESSION_EXPIRED') identity.settle(number)
      else this.#remember(name, this.#askAfter(identity, number))
      throw new ConclaveError(code, message, { cause, reason, data, outcome: 'unknown', key: name })
    }
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
