import { ConclaveError } from '../../errors/index.ts'
import {
  JOINING,
  endpointPath,
  newInstance,
  seek,
  sleep,
  standAgain,
  transition,
  type Announcement,
  type Role as RoleState,
  type RoleEvent,
} from '../../election/index.ts'
import type { Lock } from '../../platform/platform.ts'
import type { FrameSink } from '../../rpc/caller.ts'
import { flushAtExit, flushed } from '../../transport/exit.ts'
import type { Welcome } from '../../wire/handshake.ts'
import type { MemberRef, Role } from '../../wire/peers.ts'
import { BatchPool } from '../../wire/writer.ts'
import type { CloseOptions, CloseReason, Engine, EngineStatus, LossCause } from '../engine.ts'
import { Desk } from './desk.ts'
import { DeskEngine } from './desk-engine.ts'
import {
  cannotServe,
  endOf,
  helloOf,
  mayStand,
  patienceOf,
  primaryExists,
  refusalOf,
  type LocalEngineOptions,
} from './engine-options.ts'
import { FlushScheduler } from './flush.ts'
import { DEFER_MS, DRAIN_MS } from './limits.ts'
import { dial, type Link } from './link.ts'
import { Liveness } from './liveness.ts'
import { localSink } from './local-sink.ts'
import { PrimaryWork } from './primary-work.ts'
import { Reign, type EndOfReign } from './reign.ts'
import { StatusBoard } from './status-board.ts'
import { warning } from './warning.ts'

/** The local engine: a workspace carried by one primary's switchboard over Unix sockets, or memory. */
export class LocalEngine extends DeskEngine implements Engine {
  readonly self: MemberRef
  readonly closed: Promise<CloseReason>
  readonly #options: LocalEngineOptions
  protected override readonly desk: Desk
  readonly #pool = new BatchPool()
  readonly #flush = new FlushScheduler()
  readonly #statuses = new StatusBoard()
  readonly #work: PrimaryWork
  readonly #stop = new AbortController()
  readonly #backOff = standAgain()
  #role: RoleState = JOINING
  #primary: MemberRef | undefined
  #link: Link | undefined
  #liveness: Liveness | undefined
  #reign: Reign | undefined
  /** The seat is being taken: it may last, as long as a database migrates. */
  #taking: Promise<unknown> | undefined
  #linkEnded: (() => void) | undefined
  #goneAway = false
  /** It could not serve when it last won the seat (a migration failed). */
  #failed = false
  /** The workspace's identity, once known: another lock at the path is another workspace (rule B3). */
  #identity: string | undefined
  #deferUntil = 0
  #ending: ConclaveError | undefined
  #ref: boolean
  #closing: Promise<void> | undefined
  #resolveClosed!: (reason: CloseReason) => void
  readonly #flushAtExit = (): void => this.#flush.flush()
  readonly #beforeExit = (): void => void this.close({ timeoutMs: 1000 })

  constructor(options: LocalEngineOptions) {
    super()
    const { workspace, limits } = options
    this.#options = options
    this.#ref = options.ref
    this.self = { id: newInstance(), name: options.name, pid: options.pid }
    this.#work = new PrimaryWork(options.whilePrimary, (error) => {
      this.#statuses.tell({ type: 'warning', error: warning(error) })
    })
    this.desk = new Desk({
      now: () => workspace.platform.now(),
      ref: options.ref,
      limits,
      unresponsive: () => this.#liveness?.silent === true,
      refusal: (verb, nested) => refusalOf(this.#role.name, verb, this.#ending, nested),
      tell: this.#statuses.tell,
      onGoAway: () => {
        this.#goneAway = true
        // The primary's own last events still go out.
        if (this.#reign === undefined) this.desk.holdEvents()
      },
    })
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
  }

  get workspace(): string {
    return this.#options.workspace.folder
  }

  get role(): Role {
    return this.#role.name === 'primary' ? 'primary' : 'secondary'
  }

  get term(): number {
    return this.#role.term
  }

  get primary(): MemberRef | undefined {
    return this.desk.attached ? this.#primary : undefined
  }

  /**
   * Elects or connects; resolves when this member serves or is linked.
   * @throws what `seek` and the handshake throw, and what `whilePrimary` throws
   */
  async join(deadlineMs: number, signal: AbortSignal | undefined): Promise<void> {
    flushAtExit(this.#flushAtExit)
    const onAbort = (): void => this.#stop.abort(signal?.reason)
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted === true) onAbort()
    try {
      await new Promise<void>((resolve, reject) => {
        void this.#live(deadlineMs, resolve, reject)
      })
    } catch (error) {
      this.#end(
        { type: 'aborted', cause: error },
        new ConclaveError('CLOSED', 'This member did not join.', { cause: error }),
      )
      throw error
    } finally {
      signal?.removeEventListener('abort', onAbort)
    }
  }

  onStatus(listener: (status: EngineStatus) => void): () => void {
    return this.#statuses.listen(listener)
  }

  close(options: CloseOptions): Promise<void> {
    this.#closing ??= this.#drain(options)
    return options.byHandler === undefined ? this.#closing : this.desk.othersServed(options.byHandler)
  }

  abort(reason: unknown): void {
    if (this.#role.name === 'closed') return
    this.#become({ type: 'abort', cause: reason })
    const text = 'This member was aborted.'
    this.#end({ type: 'aborted', cause: reason }, new ConclaveError('ABORTED', text, { cause: reason }))
  }

  ref(): void {
    this.#ref = true
    this.desk.ref()
    this.#link?.ref()
    this.#reign?.ref()
    process.off('beforeExit', this.#beforeExit)
  }

  unref(): void {
    this.#ref = false
    this.desk.unref()
    this.#link?.unref()
    this.#reign?.unref()
    this.#watchExit()
  }

  /** Not while it closes: what ends the link then is no loss. */
  get #goesOn(): boolean {
    return !this.#stop.signal.aborted && this.#role.name !== 'closing' && this.#role.name !== 'closed'
  }

  async #live(joinDeadlineMs: number, joined: () => void, failed: (error: unknown) => void): Promise<void> {
    let first = true
    const settled = (): void => {
      joined()
      first = false
    }
    while (this.#goesOn) {
      try {
        const place = await this.#seek(first ? joinDeadlineMs : Infinity, first)
        if (!this.#goesOn) {
          place?.close()
          break
        }
        if (place === undefined) {
          settled()
          await this.#untilLinkEnds()
        } else await this.#serve(place, settled)
        this.#backOff.reset()
      } catch (error) {
        if (first) {
          failed(error)
          return
        }
        if (!this.#goesOn || this.#cannotGoOn(error)) return
        this.#statuses.tell({ type: 'warning', error: warning(error) })
        await sleep(this.#backOff.next(), { signal: this.#stop.signal, ref: this.#ref })
      }
    }
    if (first) failed(new ConclaveError('ABORTED', 'Joining was aborted.', { cause: this.#stop.signal.reason }))
  }

  /** @returns the lock when this member won; `undefined` when it is linked to a primary */
  async #seek(deadline: number, first: boolean): Promise<Lock | undefined> {
    const { workspace, primary } = this.#options
    const able = mayStand(this.#options)
    const seeking = seek<Link>(workspace, {
      ...patienceOf(this.#options, { able, first, deadline, deferUntil: this.#deferUntil, now: this.now() }),
      attempt: (announcement, signal) => this.#attempt(announcement, signal, first),
      lost: this.#lost,
      identity: this.#identity,
      signal: this.#stop.signal,
      ref: this.#ref || this.desk.held || first,
    })
    try {
      const sought = await seeking
      return sought.type === 'won' ? sought.lock : undefined
    } catch (error) {
      throw primary !== 'never' && !able && ConclaveError.is(error, 'NO_PRIMARY')
        ? cannotServe(workspace, error)
        : error
    }
  }

  get #lost(): { instance: string; term: number } | undefined {
    if (this.#role.name !== 'seeking' || this.#primary === undefined) return undefined
    return { instance: this.#primary.id, term: this.#role.term }
  }

  #attempt(announcement: Announcement, signal: AbortSignal, first: boolean): Promise<Link> {
    const { workspace, transport, primary, limits } = this.#options
    if (primary === 'must' && first) return Promise.reject(primaryExists(workspace, announcement))
    return dial(
      endpointPath(announcement.endpoint),
      helloOf(this.#options, this.self, this.#role.term, this.#failed),
      {
        transport,
        pool: this.#pool,
        flush: this.#flush,
        maxBodyBytes: limits['maxBodyBytes'],
        onWelcome: (link, welcome) => this.#welcomed(link, welcome, announcement),
        onFrame: this.desk.receive,
        onClose: (link, error) => this.#linkClosed(link, error),
      },
      signal,
    )
  }

  #welcomed(link: Link, welcome: Welcome, announcement: Announcement): void {
    this.#become({ type: 'found', term: welcome.term, instance: welcome.primary.id })
    this.#identity = announcement.lock
    this.#link = link
    if (!this.#ref) link.unref()
    this.desk.roster.clear()
    this.#liveness = new Liveness({
      link,
      outstanding: () => this.desk.outstanding,
      unresponsiveMs: this.#options.limits['unresponsiveMs'],
      onChange: (responsive) => this.#statuses.responsive(welcome, responsive),
    })
    this.#attach(link, welcome.primary, welcome.lastPublish)
  }

  async #serve(lock: Lock, joined: () => void): Promise<void> {
    const { limits } = this.#options
    const wasIn = (term: number): boolean => term > 0 && this.#role.term === term
    const taking = Reign.begin({
      ...this.#options,
      lock,
      pool: this.#pool,
      flush: this.#flush,
      self: this.self,
      seenTerm: this.#role.term,
      expected: (term) => (wasIn(term) ? this.desk.roster.others(this.self, this.#primary) : undefined),
      database: this.#options.database,
      signal: this.#stop.signal,
      onWarning: (error) => this.#statuses.tell({ type: 'warning', error }),
    })
    // Who closes the member meanwhile waits until all is free again.
    this.#taking = taking.then((reign) => (this.#goesOn ? undefined : reign.stop())).catch(() => {})
    this.#failed = true
    const reign = await taking
    this.#failed = false
    this.#identity = reign.seat.identity
    if (!this.#goesOn) {
      await reign.stop()
      return
    }
    try {
      this.#become({ type: 'won', term: reign.seat.term, instance: this.self.id })
      this.#reign = reign
      this.desk.roster.clear()
      const port = reign.attach(this.desk.receive)
      this.#attach(localSink(reign.hub, port, limits['maxBodyBytes']), this.self, port.session.lastPublish)
      await this.#work.start(reign.seat.term)
      if (!this.#goesOn) throw new ConclaveError('ABORTED', 'The member closed while it took the seat.')
      reign.serve(this.#ref)
    } catch (error) {
      await this.#abdicate(reign, { type: 'step-down', successor: undefined }, 0)
      throw error
    }
    this.#watchExit()
    joined()
    const end = await reign.ended
    if (end.type === 'closing') return
    await this.#abdicate(reign, end, this.now() + (this.#options.limits['drainMs'] ?? DRAIN_MS))
    if (end.type === 'lock-lost') this.#statuses.tell({ type: 'warning', error: end.error })
  }

  /** A primary that nothing keeps alive hands over before the process ends (rule B12). */
  #watchExit(): void {
    process.off('beforeExit', this.#beforeExit)
    if (!this.#ref && this.#reign !== undefined) process.on('beforeExit', this.#beforeExit)
  }

  /** From primary to seeking. */
  async #abdicate(reign: Reign, end: EndOfReign, deadline: number): Promise<void> {
    process.off('beforeExit', this.#beforeExit)
    if (this.#role.name === 'primary') this.#become({ type: end.type === 'lock-lost' ? 'lock-lost' : 'step-down' })
    const isOver = (): boolean => this.now() >= deadline
    if (end.type === 'lock-lost' || deadline === 0) {
      await reign.stop(this.#endWork())
    } else await reign.handOver(isOver, (over) => this.#finish(isOver, over))
    if (end.type === 'step-down' && end.successor !== undefined) this.#deferUntil = this.now() + DEFER_MS
    if (this.#reign !== reign) return
    this.#reign = undefined
    this.#detach(end.type === 'lock-lost' ? 'gone' : 'handover')
    if (this.#role.name === 'stepping-down') this.#become({ type: 'handed-over' })
  }

  #attach(sink: FrameSink, primary: MemberRef, lastPublish: number): void {
    this.#primary = primary
    this.#goneAway = false
    const { term } = this.#role
    this.desk.attach(sink, term, lastPublish)
    this.#statuses.found(this.role, primary, term, this.now())
  }

  #detach(cause: LossCause): void {
    const taken = this.#link?.takenBytes
    this.#liveness?.close()
    this.#liveness = undefined
    this.#link = undefined
    this.desk.detach(taken)
    this.#statuses.lost(this.#role.term, cause, this.now())
  }

  #linkClosed(link: Link, error: Error | undefined): void {
    if (this.#link !== link) return
    if (error !== undefined && !ConclaveError.is(error, 'DISCONNECTED')) {
      this.#statuses.tell({ type: 'warning', error: warning(error) })
    }
    const cause = this.#goneAway ? 'handover' : 'gone'
    if (this.#role.name === 'secondary') this.#become({ type: 'lost', cause })
    this.#detach(cause)
    this.#linkEnded?.()
  }

  async #untilLinkEnds(): Promise<void> {
    if (this.#link === undefined) return
    await new Promise<void>((resolve) => {
      this.#linkEnded = resolve
    })
    this.#linkEnded = undefined
  }

  /** Whether the search is over for good, and the member with it. */
  #cannotGoOn(error: unknown): boolean {
    const reason = endOf(error)
    if (reason === undefined) return false
    this.#become({ type: 'failed', error: reason.error })
    this.#end(reason, reason.error)
    return true
  }

  async #drain({ timeoutMs, signal, first }: CloseOptions): Promise<void> {
    if (this.#role.name === 'closed') return
    this.#become({ type: 'close' })
    const deadline = this.now() + timeoutMs
    const isOver = (): boolean => signal?.aborted === true || this.now() >= deadline
    if (this.#reign === undefined && this.#link === undefined) this.#stop.abort()
    else await first?.()
    await this.#taking
    const reign = this.#reign
    if (reign !== undefined) {
      reign.close()
      await reign.handOver(isOver, (over) => this.#finish(isOver, over))
    } else if (this.#link !== undefined) {
      await this.desk.withdrawAll(isOver)
      await this.desk.settled(isOver)
      this.desk.sayGoodbye()
      this.#flush.flush()
    }
    if (this.#role.name === 'closing') this.#become({ type: 'drained' })
    this.#end({ type: 'closed' }, new ConclaveError('CLOSED', 'This member was closed.'))
  }

  /** Everything that waits settles; everything held is closed. Idempotent. */
  #end(reason: CloseReason, error: ConclaveError): void {
    if (this.#ending !== undefined) return
    this.#ending = error
    if (this.#role.name !== 'closed') this.#become({ type: 'failed', error })
    this.#stop.abort(error)
    process.off('beforeExit', this.#beforeExit)
    this.#liveness?.close()
    this.desk.close(error, reason.type === 'closed')
    const link = this.#link
    this.#link = undefined
    if (reason.type === 'closed') link?.end()
    this.#flush.flush()
    link?.close()
    this.#linkEnded?.()
    const reign = this.#reign
    this.#reign = undefined
    const work = this.#endWork()
    void reign?.stop(work)
    reign?.close()
    flushed(this.#flushAtExit)
    this.#statuses.tell({ type: 'closed', reason })
    this.#statuses.close()
    this.#resolveClosed(reason)
  }

  /**
   * What runs here ends: what runs only while primary, then handlers of calls that were taken. Both may still call and write.
   * @param answersAreOver nobody is left to be answered, though there may be time
   */
  async #finish(isOver: () => boolean, answersAreOver: () => boolean): Promise<void> {
    await this.#work.stopWithin(isOver)
    await this.desk.served(answersAreOver)
  }

  /** What runs only while primary ends before the next one begins, if it ends in time; `undefined` when nothing runs. */
  #endWork(): Promise<void> | undefined {
    if (!this.#work.running) return undefined
    const deadline = this.now() + (this.#options.limits['drainMs'] ?? DRAIN_MS)
    return this.#work.stopWithin(() => this.now() >= deadline)
  }

  #become(event: RoleEvent): void {
    this.#role = transition(this.#role, event)
  }
}
