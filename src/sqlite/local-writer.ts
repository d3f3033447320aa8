import { ConclaveError, errorToWire } from '../errors/index.ts'
import { failed, type Answer } from './answer.ts'
import { ChangeRecorder } from './changes.ts'
import type { Connection, Prepared } from './driver.ts'
import { callProcedure, checkResult, Executor } from './execute.ts'
import { KeyStore } from './key-store.ts'
import { Ledger } from './ledger.ts'
import { CAREFUL_GROUPS, GROUP_COMMITS, GROUP_LEAST_MS, GROUP_MS } from './limits.ts'
import { copyOf, DONE, fits, madeOf, sessionLost, sized, SMALL_BYTES, tooManyOutcomes, type Made } from './made.ts'
import { isSavepoint } from './savepoints.ts'
import { staleTerm } from './schema.ts'
import { SqlCache } from './sql-cache.ts'
import { isBusy, statementError } from './sqlite-errors.ts'
import { transactionEnded, type TxWatch } from './tx.ts'
import type { Procedures, SqlValue } from './types.ts'
import { WriterBusy, WriterEnd, type Job, type Work, type Writer, type WriterEvents } from './writer.ts'

export interface LocalWriterOptions extends WriterEvents {
  /** Open, migrated, its term raised. The writer's from here on. */
  readonly connection: Connection
  readonly term: number
  readonly lock: string
  readonly procedures: Procedures
  /** CLOCK_MONOTONIC, milliseconds. */
  readonly now: () => number
  /** Asked right before each COMMIT (rule A1): why nothing may be committed any more. */
  readonly lost: () => ConclaveError | undefined
}

/** The transaction was ended by one of its statements: nothing of it is there (rule A3). */
class GroupLost extends Error {
  /** COMMIT itself failed: the disk may hold more than it said. */
  readonly committing: boolean

  constructor(cause: unknown, committing: boolean) {
    super('the transaction was ended', { cause })
    this.committing = committing
  }
}

/** A statement failed that ran without a savepoint: what it left of itself, nobody knows. */
class BareFailed extends Error {}

/** The writer on the thread of the procedures. Each of its methods does its work before it returns. */
export class LocalWriter implements Writer {
  readonly #options: LocalWriterOptions
  readonly #connection: Connection
  readonly #ledger: Ledger
  readonly #keys: KeyStore
  readonly #changes: ChangeRecorder
  readonly #executor: Executor
  readonly #session: Executor
  readonly #watch: TxWatch
  readonly #term: Prepared
  readonly #dataVersion: Prepared
  readonly #savepoint: Prepared
  readonly #release: Prepared
  readonly #begin: Prepared
  readonly #commit: Prepared
  readonly #truncate: Prepared
  #version: SqlValue = null
  #inSession = false
  /** What the last COMMIT took. */
  #commitMs = 0
  /** So many groups run each of their writes in a savepoint: one of the last ones failed. */
  #careful = 0

  constructor(options: LocalWriterOptions) {
    const { connection } = options
    this.#options = options
    this.#connection = connection
    this.#ledger = new Ledger(connection, Date.now())
    this.#keys = new KeyStore(connection)
    this.#changes = new ChangeRecorder(connection)
    const cache = new SqlCache(connection, 'write')
    const ran = (sql: string, definition: boolean): void => this.#changes.ran(sql, definition)
    this.#watch = { prepare: (sql) => cache.get(sql).prepared, ran }
    this.#executor = new Executor(connection, cache, ran)
    this.#session = new Executor(connection, new SqlCache(connection, 'own'), ran)
    this.#term = connection.prepare('SELECT term, lock FROM _conclave_term')
    this.#dataVersion = connection.prepare('PRAGMA data_version')
    this.#savepoint = connection.prepare('SAVEPOINT _conclave_write')
    this.#release = connection.prepare('RELEASE _conclave_write')
    this.#begin = connection.prepare('BEGIN IMMEDIATE')
    this.#commit = connection.prepare('COMMIT')
    this.#truncate = connection.prepare('PRAGMA wal_checkpoint(TRUNCATE)')
    this.#version = this.#dataVersion.get([])!['data_version']!
    this.#changes.sync()
  }

  async commit(jobs: readonly Job[]): Promise<readonly Answer[]> {
    const bare = this.#connection.tellsTransaction && this.#careful === 0
    if (this.#careful > 0) this.#careful--
    try {
      return this.#group(jobs, bare)
    } catch (error) {
      if (error instanceof BareFailed) {
        this.#careful = CAREFUL_GROUPS
        return this.commit(jobs)
      }
      if (!(error instanceof GroupLost)) throw error
      // The others are repeated in their order, each in a transaction of its own.
      const answers: Answer[] = []
      for (const job of jobs) {
        try {
          answers.push(...this.#group([job], false))
        } catch (lost) {
          if (!(lost instanceof GroupLost)) {
            if (answers.length > 0) break
            throw lost
          }
          answers.push(this.#failedAlone(job, lost))
        }
      }
      return answers
    }
  }

  async begin(): Promise<void> {
    this.#start()
    this.#inSession = true
  }

  async step(sql: string, params: readonly SqlValue[]): Promise<Answer> {
    if (!this.#inSession) return failed(sessionLost(undefined))
    if (isSavepoint(sql)) return this.#savepointOfSession(sql)
    try {
      this.#savepoint.run([])
      const { answer } = madeOf(this.#session.run(sql, params))
      this.#releaseOwn()
      this.#changes.keep()
      return answer
    } catch (error) {
      this.#changes.drop()
      if (this.#undo()) return failed(error)
      this.#inSession = false
      this.#rolledBack()
      return failed(sessionLost(error))
    }
  }

  /** What is rolled back to one is told as changed too: those who listen read once too often. */
  #savepointOfSession(sql: string): Answer {
    try {
      this.#connection.exec(sql)
      return { ok: [0, 0] }
    } catch (error) {
      return failed(error)
    }
  }

  async end(job: Job | undefined): Promise<Answer | undefined> {
    if (!this.#inSession) return job === undefined ? undefined : failed(sessionLost(undefined))
    this.#inSession = false
    if (job === undefined) {
      this.#rollback()
      return undefined
    }
    try {
      const answer = this.#settledBefore(job)
      if (answer !== undefined) {
        this.#rollback()
        return answer
      }
      this.#ledger.record(job.writer, job.number, DONE, SMALL_BYTES)
      this.#finish()
      return DONE
    } catch (error) {
      this.#rollback()
      if (isEnd(error)) throw error
      return this.#failedAlone(job, new GroupLost(error, true))
    }
  }

  begun(writer: string, number: number): boolean {
    return this.#ledger.begun(writer, number)
  }

  gone(writer: string): void {
    this.#ledger.closed(writer, Date.now())
  }

  async look(): Promise<void> {
    if (this.#inSession) return
    this.#noteForeign()
    const events = this.#changes.take()
    if (events.length > 0) this.#options.onChanges(events)
  }

  async truncate(): Promise<void> {
    try {
      this.#truncate.get([])
    } catch (error) {
      // A reader, or another program's write: later.
      if (!isBusy(error)) throw error
    }
  }

  async forget(): Promise<void> {
    this.#transaction(() => {
      this.#ledger.forget(Date.now())
      this.#keys.forget(Date.now())
    })
  }

  async close(): Promise<void> {
    if (this.#inSession) this.#rollback()
    this.#inSession = false
    this.#connection.close()
  }

  /**
   * One transaction.
   * @param bare single statements run without a savepoint: one that fails fails the group, `BareFailed`
   * @throws `GroupLost`, or what ends everything, or busy: then nothing has begun
   */
  #group(jobs: readonly Job[], bare: boolean): Answer[] {
    const { now } = this.#options
    const answers: Answer[] = []
    this.#start()
    let at = now()
    const until = at + Math.min(GROUP_MS, Math.max(GROUP_LEAST_MS, GROUP_COMMITS * this.#commitMs))
    let committing = false
    try {
      for (const job of jobs) {
        if (at > until) break
        answers.push(this.#one(job, at, bare))
        at = now()
      }
      committing = true
      this.#finish()
      this.#commitMs = now() - at
      return answers
    } catch (error) {
      this.#rollback()
      // A group that does not commit as a whole (a deferred foreign key, a full disk) tells nothing of its members.
      if (isEnd(error) || error instanceof GroupLost || error instanceof BareFailed) throw error
      throw new GroupLost(error, committing)
    }
  }

  #one(job: Job, now: number, bare: boolean): Answer {
    const { work } = job
    switch (work.type) {
      case 'open':
        this.#ledger.open(job.writer)
        return { ok: null }
      case 'here':
        this.#ledger.here(job.writer)
        return { ok: null }
      case 'bye':
        this.#ledger.retire(job.writer)
        return { ok: null }
      case 'outcome':
        return { ok: this.#ledger.outcome(work.of, work.number, work.of === job.writer) }
      case 'key':
        return { ok: this.#keys.has(work.key) ? 'committed' : 'not-committed' }
      default:
        return this.#settledBefore(job, now) ?? this.#write(job, bare)
    }
  }

  /** What is known of a write without running it (rules A6, A14). */
  #settledBefore(job: Job, now: number = this.#options.now()): Answer | undefined {
    const { writer, number, watermark, deadline } = job
    const verdict = this.#ledger.look(writer, number, watermark)
    switch (verdict.type) {
      case 'answer':
        return verdict.answer
      case 'never': {
        const text =
          'A later write of this member began first, so this one was not executed and never will be: send it again.'
        return failed(new ConclaveError('DISCONNECTED', text, { outcome: 'not-committed' }))
      }
      case 'settled': {
        const text = 'This write was settled before: its member has acknowledged what it came to.'
        return failed(new ConclaveError('DISCONNECTED', text, { outcome: 'unknown' }))
      }
      case 'expired': {
        const text =
          'The primary knows nothing of this writer any more: it was away for too long, or the database is another. What became of its last writes is unknown.'
        return failed(new ConclaveError('SESSION_EXPIRED', text, { outcome: 'unknown' }))
      }
      case 'execute':
    }
    if (deadline > now) return undefined
    const text = 'The write came to its turn after its deadline and was not started.'
    return failed(new ConclaveError('TIMEOUT', text, { outcome: 'not-committed' }))
  }

  #write(job: Job, bare: boolean): Answer {
    const { writer, number, key } = job
    let made: Made
    let stored: string | undefined
    try {
      if (this.#ledger.isFull(writer)) throw tooManyOutcomes()
      if (job.work.type === 'commit') throw sessionLost(undefined)
      stored = key === undefined ? undefined : this.#keys.find(key.name, key.digest)
      made =
        stored === undefined ? this.#execute(job, bare) : { answer: JSON.parse(stored) as Answer, bytes: stored.length }
    } catch (error) {
      if (error instanceof GroupLost || error instanceof BareFailed || isEnd(error)) throw error
      made = copyOf(failed(error))
    }
    if (key !== undefined && stored === undefined && 'ok' in made.answer) {
      this.#keys.record(key.name, key.digest, Date.now(), JSON.stringify(made.answer))
    }
    this.#ledger.record(writer, number, made.answer, made.bytes)
    return made.answer
  }

  #execute({ work }: Job, bare: boolean): Made {
    return bare && work.type === 'statement' ? this.#alone(work.sql, work.params) : this.#inSavepoint(work)
  }

  /**
   * A statement is its own savepoint: it is there or it is not. What fails is undone with the whole group all the same,
   * because `OR FAIL` and `RAISE(FAIL)` leave a part of it; and only a statement that fails can end the transaction.
   */
  #alone(sql: string, params: readonly SqlValue[]): Made {
    let made: Made
    try {
      made = madeOf(this.#executor.run(sql, params))
    } catch (error) {
      // Nothing has run: the guard, or a parameter.
      if (ConclaveError.is(error, 'INVALID_PARAMS')) throw error
      throw new BareFailed(undefined, { cause: error })
    }
    if (!this.#connection.inTransaction) throw new GroupLost(transactionEnded(undefined), false)
    return made
  }

  /** In a savepoint of its own. Its RELEASE proves that nothing ended the transaction in between (rule A3). */
  #inSavepoint(work: Work): Made {
    // What ran without one stays.
    this.#changes.keep()
    this.#savepoint.run([])
    try {
      const made = this.#made(work)
      this.#releaseOwn()
      this.#changes.keep()
      return made
    } catch (error) {
      this.#changes.drop()
      if (this.#undo()) throw error
      throw new GroupLost(error, false)
    }
  }

  #made(work: Work): Made {
    switch (work.type) {
      case 'statement':
        return madeOf(this.#executor.run(work.sql, work.params))
      case 'batch':
        return fits(sized({ ok: this.#executor.batch(work.statements) }))
      case 'procedure': {
        const returned = callProcedure(this.#connection, this.#options.procedures, work, this.#watch)
        return fits(copyOf({ ok: checkResult(work.name, returned) }))
      }
      default:
        throw new ConclaveError('INTERNAL', `${work.type} is no write.`)
    }
  }

  #releaseOwn(): void {
    try {
      this.#release.run([])
    } catch (error) {
      throw this.#connection.inTransaction ? error : transactionEnded(error)
    }
  }

  /** Back to before the write. @returns false when its savepoint is gone, and the transaction with it */
  #undo(): boolean {
    try {
      this.#connection.exec('ROLLBACK TO _conclave_write; RELEASE _conclave_write')
      return true
    } catch {
      return false
    }
  }

  #start(): void {
    try {
      this.#changes.sync()
      this.#begin.run([])
    } catch (error) {
      throw isBusy(error) ? new WriterBusy('the file is locked by another program', { cause: error }) : error
    }
    try {
      const row = this.#term.get([])
      const { term, lock } = this.#options
      if (row?.['term'] !== term || row['lock'] !== lock) {
        const recorded = row === undefined ? undefined : { term: Number(row['term']), lock: String(row['lock']) }
        throw new WriterEnd(staleTerm(term, recorded))
      }
      this.#noteForeign()
    } catch (error) {
      this.#rollback()
      throw error
    }
  }

  /** Our own commits leave the version as it is. */
  #noteForeign(): void {
    const version = this.#dataVersion.get([])!['data_version']!
    if (version === this.#version) return
    this.#version = version
    this.#changes.foreign()
    this.#options.onForeignWrite()
  }

  #finish(): void {
    this.#ledger.flush()
    const lost = this.#options.lost()
    if (lost !== undefined) throw new WriterEnd(lost)
    this.#commit.run([])
    this.#ledger.committed()
    const events = this.#changes.take()
    if (events.length > 0) this.#options.onChanges(events)
  }

  #rollback(): void {
    if (this.#connection.inTransaction) this.#connection.exec('ROLLBACK')
    this.#rolledBack()
  }

  #rolledBack(): void {
    this.#ledger.rolledBack()
    this.#changes.dropAll()
  }

  #transaction(work: () => void): void {
    this.#start()
    try {
      work()
      this.#finish()
    } catch (error) {
      this.#rollback()
      throw error
    }
  }

  /**
   * A write that took its own transaction with it, alone: only that it failed is stored, so that a repeat gets the same
   * answer. Where even that cannot be (a full disk), nothing is stored; and what a COMMIT left on the disk that refused it
   * may be found again after a crash: then nobody knows.
   */
  #failedAlone(job: Job, { cause, committing }: GroupLost): Answer {
    const { answer, bytes } = copyOf(failed(cause))
    try {
      this.#transaction(() => {
        if (this.#settledBefore(job) !== undefined) return
        this.#ledger.record(job.writer, job.number, answer, bytes)
      })
      return answer
    } catch (error) {
      if (isEnd(error)) throw error
      return committing ? { error: errorToWire(statementError(cause, 'unknown')) } : answer
    }
  }
}

/** What ends the whole call, not one write. */
function isEnd(error: unknown): boolean {
  return error instanceof WriterEnd || error instanceof WriterBusy
}
