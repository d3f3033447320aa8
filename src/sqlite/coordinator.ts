import { ConclaveError } from '../errors/index.ts'
import { failed, type Answer } from './answer.ts'
import { BusyPause } from './busy-pause.ts'
import { Entry } from './entry.ts'
import { Group } from './group.ts'
import { FORGET_MS, MAX_TRANSACTION_MS } from './limits.ts'
import { Pace } from './pace.ts'
import { closed, givenBack, givenUp, late, walFull } from './refusals.ts'
import { parseRequest, type BeginRequest, type JobsRequest, type Request } from './protocol.ts'
import { FairQueue, type QueueLimits } from './queue.ts'
import type { RequestContext } from './request-context.ts'
import { Session, SessionBook } from './session.ts'
import { WalWatch, type WalLimits, type WalReport } from './wal.ts'
import { WriterBusy, WriterEnd, type Job, type Writer } from './writer.ts'

export type Report =
  | ({ readonly type: 'wal' } & WalReport)
  /** Another program has held the write lock for this long. */
  | { readonly type: 'busy'; readonly forMs: number }
  | { readonly type: 'forgetting-failed'; readonly error: unknown }

export interface CoordinatorOptions {
  readonly writer: Writer
  /** The database's real path. */
  readonly path: string
  readonly now: () => number
  /** Once: nothing is committed here any more (`LOCK_LOST`, `STALE_TERM`). Close the links, then `abandon`. */
  readonly onLost: (error: ConclaveError) => void
  readonly onReport?: ((report: Report) => void) | undefined
  readonly limits?: { readonly queue?: Partial<QueueLimits>; readonly wal?: Partial<WalLimits> } | undefined
}

/** What the coordinator has done since its term began; each only ever rises. */
export interface CoordinatorCounters {
  groups: number
  answers: number
  transactions: number
  attached: number
}

/** `lost`: another primary may serve; what waits is settled by `abandon`, when no link could carry the reply. */
type State = 'serving' | 'lost' | 'closed'

/**
 * The one writer's waiting room, in the primary: requests of all members in a fair queue, committed in groups; one
 * interactive transaction at a time between them. It never blocks: a locked file is tried again later (rule A11).
 */
export class Coordinator {
  readonly counters: CoordinatorCounters = { groups: 0, answers: 0, transactions: 0, attached: 0 }
  readonly #options: CoordinatorOptions
  readonly #writer: Writer
  readonly #queue: FairQueue<Entry>
  readonly #wal: WalWatch
  readonly #sessions = new SessionBook()
  readonly #pause: BusyPause
  readonly #pace: Pace
  /** Requests that wait or run, by writer and first number (rule A6: not queued already). */
  readonly #known = new Map<string, Entry>()
  /** Writes under a key of the caller's, by key: whoever asks for its outcome waits for them. */
  readonly #keyed = new Map<string, Entry>()
  readonly #writersOf = new Map<string, Set<string>>()
  /** Asked of a primary that is lost: settled by `abandon`. */
  readonly #stranded: ((error: ConclaveError) => void)[] = []
  readonly #forgetting: NodeJS.Timeout
  #state: State = 'serving'
  #lost: ConclaveError | undefined
  #pumping = false
  #scheduled = false
  /** Whose transactions may still begin: all while serving, one member's or none while this primary hands over. */
  #mayBegin: (member: string) => boolean = () => true

  constructor(options: CoordinatorOptions) {
    const { writer, path, now, limits } = options
    this.#options = options
    this.#writer = writer
    this.#queue = new FairQueue(limits?.queue)
    this.#wal = new WalWatch({
      path,
      now,
      truncate: () => writer.truncate(),
      onReport: (report) => options.onReport?.({ type: 'wal', ...report }),
      limits: limits?.wal,
    })
    this.#pace = new Pace(now, () => this.#schedule())
    this.#pause = new BusyPause({
      now,
      onOver: () => this.#schedule(),
      onLong: (forMs) => options.onReport?.({ type: 'busy', forMs }),
    })
    this.#forgetting = setInterval(() => void this.#forget(), FORGET_MS)
    this.#forgetting.unref()
  }

  get state(): State {
    return this.#state
  }

  get queued(): { readonly count: number; readonly bytes: number } {
    return { count: this.#queue.count, bytes: this.#queue.bytes }
  }

  get wal(): { readonly bytes: number; readonly holders: readonly number[] | undefined } {
    return { bytes: this.#wal.bytes, holders: this.#wal.holders }
  }

  /** Nothing waits and no transaction is open. */
  get idle(): boolean {
    return this.#queue.count === 0 && !this.#pumping && this.#sessions.active === undefined
  }

  /**
   * A request of a member, by one of `METHODS`. Resolves with the answer, also a failure's; it is final.
   * @throws (rejects) when the request ends without one: the writer is lost, or its caller gave up
   */
  async request(method: string, params: unknown, context: RequestContext): Promise<Answer> {
    let request: Request
    try {
      request = parseRequest(method, params, context.deadline)
      this.#remember(context.member, request.writer)
      if (this.#state === 'closed') throw this.#lost ?? closed()
      if (this.#state === 'lost') return await this.#strand()
      switch (request.type) {
        case 'jobs':
          return await this.#enqueue(request, context)
        case 'begin':
          return await this.#enqueueBegin(request, context)
        case 'step':
          return await this.#step(request)
        case 'commit':
          return await this.#commit(request, context)
        case 'rollback':
          return await this.#rollback(request)
      }
    } catch (error) {
      // What was refused before it was taken is an answer like any other.
      if (ConclaveError.is(error, 'INVALID_PARAMS', 'OVERLOADED')) return failed(error)
      throw error
    }
  }

  /** Now and then: another program may have written while nobody here did, and its write is to be told (rule B20). */
  async look(): Promise<void> {
    if (this.#state !== 'serving') return
    try {
      await this.#writer.look()
    } catch {
      // The next transaction meets it again, and says what is wrong.
    }
  }

  /** The last link of a member is gone: its transaction is rolled back (rule B11), its numbers begin to age (rule A6). */
  memberLeft(member: string): void {
    for (const writer of this.#writersOf.get(member) ?? []) {
      this.#writer.gone(writer)
      const session = this.#sessions.active
      if (session?.writer === writer) void this.#endSession(session, 'its owner disconnected')
    }
    this.#writersOf.delete(member)
    this.#pace.left(member)
  }

  /**
   * This primary hands over, and takes no request that comes later: the open transaction is rolled back, since no step of
   * it can come, and those that wait for their turn are rejected with `PRIMARY_LOST`, for the successor to begin.
   * @param except a member whose requests are taken on
   */
  retire(except?: string): void {
    this.#mayBegin = (member) => member === except
    const session = this.#sessions.active
    const ownWriters = except === undefined ? undefined : this.#writersOf.get(except)
    if (session !== undefined && ownWriters?.has(session.writer) !== true) {
      void this.#endSession(session, 'the primary handed over')
    } else this.#schedule()
  }

  /** Settles what is left with this error, when no link carries the reply any more, and takes nothing new. Idempotent. */
  abandon(error: ConclaveError): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#lost ??= error
    clearInterval(this.#forgetting)
    this.#pause.stop()
    this.#pace.stop()
    this.#sessions.close()
    for (const entry of this.#queue.drain()) this.#reject(entry, error)
    for (const reject of this.#stranded.splice(0)) reject(error)
  }

  #remember(member: string, writer: string): void {
    let writers = this.#writersOf.get(member)
    if (writers === undefined) this.#writersOf.set(member, (writers = new Set()))
    writers.add(writer)
  }

  async #enqueue({ writer, jobs, writes, bytes }: JobsRequest, context: RequestContext): Promise<Answer> {
    const { work, number } = jobs[0]!
    // What is asked about a key waits for the writes under it.
    const asked = work.type === 'key' ? this.#keyed.get(work.key) : undefined
    if (asked !== undefined) await asked.answer.catch(() => {})
    const { member: line, deadline } = context
    const id = number > 0 ? `${writer} ${number}` : undefined
    return (
      this.#attached(id, context) ?? this.#add(new Entry({ line, bytes, deadline, id, jobs, list: writes }), context)
    )
  }

  #enqueueBegin(begin: BeginRequest, context: RequestContext): Promise<Answer> {
    const { writer, session } = begin
    const open = this.#sessions.find(writer, session)
    if (open !== undefined) return Promise.resolve({ ok: { ms: open.until - this.#options.now() } })
    const id = `${writer} begin ${session}`
    const { member: line, deadline } = context
    const entry = { line, bytes: 0, deadline, id, jobs: [], list: false, begin }
    return this.#attached(id, context) ?? this.#add(new Entry(entry), context)
  }

  /** A repeat of what waits or runs. */
  #attached(id: string | undefined, context: RequestContext): Promise<Answer> | undefined {
    const known = id === undefined ? undefined : this.#known.get(id)
    if (known === undefined) return undefined
    this.counters.attached++
    return this.#waitFor(known, context)
  }

  #add(entry: Entry, context: RequestContext): Promise<Answer> {
    const refusal = this.#admit(entry)
    if (refusal !== undefined) {
      // Each is refused, none of them was taken.
      for (let left = entry.jobs.length; left > 0; left--) entry.answers.push(failed(refusal))
      if (entry.begin === undefined) entry.finish()
      else entry.end(failed(refusal))
      return entry.answer
    }
    if (entry.id !== undefined) this.#known.set(entry.id, entry)
    for (const { key } of entry.jobs) if (key !== undefined) this.#keyed.set(key.name, entry)
    this.#pace.arrived(entry.line)
    this.#schedule()
    return this.#waitFor(entry, context)
  }

  /** Puts it into the queue. @returns why not */
  #admit(entry: Entry): ConclaveError | undefined {
    const { writer = '', number = 0 } = entry.jobs[0] ?? {}
    // What was done before is to be told: that it was refused would be a lie.
    const repeated = number > 0 && this.#writer.begun(writer, number)
    if (this.#wal.full && (number > 0 || entry.begin !== undefined) && !repeated) {
      this.#schedule()
      return walFull(this.#wal.bytes, this.#wal.holders)
    }
    try {
      this.#queue.add(entry, repeated)
      return undefined
    } catch (error) {
      return error as ConclaveError
    }
  }

  /** What was given up by all who wait for it leaves the queue; what has begun goes on. */
  #waitFor(entry: Entry, context: RequestContext): Promise<Answer> {
    entry.waiters++
    context.onGivenUp = (reason) => {
      if (--entry.waiters > 0 || !this.#queue.remove(entry)) return
      this.#reject(entry, givenUp(reason))
    }
    return entry.answer
  }

  #schedule(): void {
    if (this.#scheduled || this.#pumping || this.#state !== 'serving' || this.#pause.active) return
    if (this.#pace.waits && this.#queue.peek()?.begin === undefined) return
    this.#scheduled = true
    // After what arrives in this turn of the loop: it commits together.
    setImmediate(() => {
      this.#scheduled = false
      void this.#pump()
    })
  }

  async #pump(): Promise<void> {
    if (this.#pumping) return
    this.#pumping = true
    try {
      await this.#wal.look()
      while (this.#state === 'serving' && this.#sessions.active === undefined && !this.#pause.active) {
        const next = this.#queue.peek()
        if (next === undefined) break
        if (next.begin !== undefined) await this.#grant(next, next.begin)
        else if (this.#pace.waits) break
        else await this.#group()
        await this.#wal.look()
        if (this.#queue.count === 0) break
        await new Promise((resolve) => setImmediate(resolve))
      }
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#pumping = false
    }
    if (this.#queue.count > 0 && this.#sessions.active === undefined) this.#schedule()
  }

  async #group(): Promise<void> {
    const group = new Group(this.#queue)
    let answers: readonly Answer[]
    try {
      answers = await this.#writer.commit(group.jobs)
    } catch (error) {
      this.#takeBack(group.entries)
      this.#refused(error)
      return
    }
    this.#pause.reset()
    this.counters.groups++
    this.counters.answers += answers.length
    this.#takeBack(group.answered(answers))
    const lines = new Set<string>()
    for (const entry of group.entries) {
      if (!entry.done) continue
      this.#forgetEntry(entry)
      entry.finish()
      if (this.#queue.isEmpty(entry.line)) lines.add(entry.line)
    }
    this.#pace.answered(lines)
  }

  async #grant(entry: Entry, { writer, session, holdMs }: BeginRequest): Promise<void> {
    this.#queue.take()
    const { now } = this.#options
    if (!this.#mayBegin(entry.line)) {
      this.#reject(entry, givenBack())
      return
    }
    if (entry.deadline <= now()) {
      this.#end(entry, failed(late()))
      return
    }
    try {
      await this.#writer.begin()
    } catch (error) {
      this.#takeBack([entry])
      this.#refused(error)
      return
    }
    this.#pause.reset()
    this.counters.transactions++
    const ms = Math.min(holdMs, MAX_TRANSACTION_MS)
    const granted = new Session(writer, session, now() + ms)
    this.#sessions.begin(granted, ms, () => {
      if (granted.until <= now()) void this.#endSession(granted, `its deadline of ${ms} ms passed`)
    })
    this.#end(entry, { ok: { ms } })
  }

  async #step({ writer, session: number, sql, params }: Request & { readonly type: 'step' }): Promise<Answer> {
    const session = this.#sessions.find(writer, number)
    if (session === undefined || this.#isPast(session)) return failed(this.#sessions.why(writer, number))
    const answer = await this.#writer.step(sql, params)
    if ('error' in answer && answer.error.data?.code === 'TRANSACTION_LOST') {
      this.#sessions.end(session, 'a statement ended it')
      this.#schedule()
    }
    return answer
  }

  async #commit(request: Request & { readonly type: 'commit' }, context: RequestContext): Promise<Answer> {
    const { writer, session: number } = request
    const { watermark } = request
    const { member: line, deadline } = context
    const numbers = { writer, number: request.number, watermark }
    const job: Job = { ...numbers, work: { type: 'commit' }, key: undefined, deadline }
    const session = this.#sessions.find(writer, number)
    const queued = (): Promise<Answer> => {
      const id = `${writer} ${request.number}`
      const entry = { line, bytes: 0, deadline, id, jobs: [job], list: false }
      return this.#attached(id, context) ?? this.#add(new Entry(entry), context)
    }
    // Committed before, by this primary or another; or never: its outcome is in the database (rule B11).
    if (session === undefined || this.#isPast(session)) return await queued()
    this.#sessions.end(session, 'it was committed')
    try {
      return (await this.#writer.end(job))!
    } catch (error) {
      this.#refused(error)
      // It was rolled back, which could not be stored while another program has the file.
      return await (error instanceof WriterBusy ? queued() : this.#strand())
    } finally {
      this.#schedule()
    }
  }

  async #rollback({ writer, session: number }: Request & { readonly type: 'rollback' }): Promise<Answer> {
    const session = this.#sessions.find(writer, number)
    if (session !== undefined) await this.#endSession(session, 'it was rolled back')
    return { ok: null }
  }

  #strand(): Promise<never> {
    return new Promise((_resolve, reject) => this.#stranded.push(reject))
  }

  #isPast(session: Session): boolean {
    if (session.until > this.#options.now()) return false
    void this.#endSession(session, 'its deadline passed')
    return true
  }

  async #endSession(session: Session, why: string): Promise<void> {
    if (this.#sessions.active !== session) return
    this.#sessions.end(session, why)
    try {
      await this.#writer.end(undefined)
    } catch (error) {
      this.#refused(error)
    }
    this.#schedule()
  }

  #takeBack(entries: readonly Entry[]): void {
    if (entries.length === 0) return
    // Given up meanwhile: out.
    this.#queue.putBack(entries.filter((entry) => entry.waiters > 0))
    for (const entry of entries) {
      if (entry.waiters === 0) this.#reject(entry, givenUp(undefined))
    }
  }

  /** The writer did nothing: later, or never again. */
  #refused(error: unknown): void {
    if (error instanceof WriterBusy) this.#pause.begin()
    else this.#fail(error)
  }

  /** Step down: the links are closed first, so that nothing is settled that a successor may answer better (rule A1). */
  #fail(error: unknown): void {
    if (this.#state !== 'serving') return
    this.#state = 'lost'
    this.#lost =
      error instanceof WriterEnd
        ? error.error
        : new ConclaveError('LOCK_LOST', `The database can't be written any more: ${(error as Error).message}`, {
            cause: error,
            outcome: 'unknown',
          })
    this.#pause.stop()
    this.#options.onLost(this.#lost)
  }

  #end(entry: Entry, answer: Answer): void {
    this.#forgetEntry(entry)
    entry.end(answer)
  }

  #reject(entry: Entry, error: ConclaveError): void {
    this.#forgetEntry(entry)
    entry.reject(error)
  }

  #forgetEntry(entry: Entry): void {
    if (entry.id !== undefined && this.#known.get(entry.id) === entry) this.#known.delete(entry.id)
    for (const { key } of entry.jobs) {
      if (key !== undefined && this.#keyed.get(key.name) === entry) this.#keyed.delete(key.name)
    }
  }

  async #forget(): Promise<void> {
    if (!this.idle) return
    try {
      await this.#writer.forget()
    } catch (error) {
      if (error instanceof WriterEnd) this.#fail(error)
      else this.#options.onReport?.({ type: 'forgetting-failed', error })
    }
  }
}
