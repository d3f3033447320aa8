import { ConclaveError } from '../../errors/index.ts'
import { oneTurn, sweepEndpoints, takeSeat, type Seat, type Workspace } from '../../election/index.ts'
import type { Lock } from '../../platform/platform.ts'
import type { Listener, Transport } from '../../transport/transport.ts'
import type { Frame } from '../../wire/frame.ts'
import { PROTOCOL } from '../../wire/handshake.ts'
import type { MemberRef } from '../../wire/peers.ts'
import type { BatchPool } from '../../wire/writer.ts'
import { Door } from './door.ts'
import type { FlushScheduler } from './flush.ts'
import { Hub } from './hub.ts'
import { BACKLOG } from './limits.ts'
import type { LocalPort } from './local-port.ts'
import type { PrimaryDatabase } from './primary-database.ts'
import type { ServedDatabase } from './served-database.ts'
import { untilOver } from './until-over.ts'
import { warning } from './warning.ts'

/** Why a primary stops being one while its process goes on. */
export type EndOfReign =
  | { readonly type: 'lock-lost'; readonly error: ConclaveError }
  /** A member of a later version takes the place, or the term's numbers are used up. */
  | { readonly type: 'step-down'; readonly successor: MemberRef | undefined }
  | { readonly type: 'closing' }

export interface ReignOptions {
  readonly workspace: Workspace
  readonly lock: Lock
  readonly transport: Transport
  readonly pool: BatchPool
  readonly flush: FlushScheduler
  readonly self: MemberRef
  readonly version: number
  readonly minVersion: number
  /** Highest term this member has seen: the new one is higher. */
  readonly seenTerm: number
  /** Ids of the members of the term before, when this member was in it. */
  readonly expected: (previousTerm: number) => ReadonlySet<string> | undefined
  readonly limits: Readonly<Record<string, number | undefined>>
  readonly database: PrimaryDatabase | undefined
  /** The member ends: opening the database is given up. */
  readonly signal: AbortSignal
  readonly onWarning: (error: ConclaveError) => void
}

/**
 * One term as primary, all or nothing: lock, term, database, switchboard, socket, announcement. It ends in one of two
 * ways: `handOver`, in order (rule A13), or `stop`, at once.
 */
export class Reign {
  readonly seat: Seat
  readonly hub: Hub
  readonly ended: Promise<EndOfReign>
  readonly #options: ReignOptions
  readonly #database: ServedDatabase | undefined
  readonly #door: Door
  #listener: Listener | undefined
  #end!: (end: EndOfReign) => void
  #handingOver = false
  /** What the owner ends during a hand-over. */
  #settling: Promise<void> | undefined
  #stopped = false
  /** Once stopped: resolves when database and lock are free. */
  #leaving: Promise<void> = Promise.resolve()
  #ref = true

  /**
   * Takes the seat, and opens the database; the lock is the reign's from here on.
   * @throws what `takeSeat`, opening and migrating throw; everything is free then
   */
  static async begin(options: ReignOptions): Promise<Reign> {
    const { database, signal, onWarning } = options
    const seat = seatOf(options)
    try {
      return new Reign(options, seat, await database?.serve(seat, signal, onWarning))
    } catch (error) {
      seat.release()
      throw error
    }
  }

  private constructor(options: ReignOptions, seat: Seat, database: ServedDatabase | undefined) {
    const { workspace, self, flush, pool, limits } = options
    this.#options = options
    this.#database = database
    this.seat = seat
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
    this.hub = new Hub({
      ...options,
      term: seat.term,
      previousTerm: seat.follows,
      expected: options.expected(seat.follows),
      succeeds: seat.succeeds,
      identity: seat.identity,
      primary: self,
      database: database !== undefined,
      holdsSeat: () => seat.check() && database?.holds() !== false,
      now: () => workspace.platform.now(),
      onNewer: (successor) => this.#end({ type: 'step-down', successor }),
      onExhausted: () => this.#end({ type: 'step-down', successor: undefined }),
      onLeft: ({ id }) => database?.memberLeft(id),
      moreCounters: () => ({ ...this.#doorCounters(), ...database?.counters() }),
      databaseSnapshot: database === undefined ? undefined : () => database.snapshot(),
    })
    this.#door = new Door({
      hub: this.hub,
      pool,
      flush,
      maxBodyBytes: limits['maxBodyBytes'],
      handshakeTimeoutMs: limits['handshakeTimeoutMs'],
    })
  }

  attach(deliver: (frame: Frame) => void): LocalPort {
    const database = this.#database
    if (database === undefined) return this.hub.attachLocal(deliver)
    const port = this.hub.attachLocal((frame) => {
      if (!database.receive(frame)) deliver(frame)
    })
    database.attach(this.hub, port, this.#lost)
    return port
  }

  /** Binds, announces and watches: members connect from now on. @throws what binding throws; `stop` undoes the rest */
  serve(ref: boolean): void {
    this.#ref = ref
    this.#door.keepAlive(ref)
    this.#listen(this.seat.endpointPath)
    this.seat.announce()
    this.hub.beginGrace()
    this.seat.watch({
      onLost: this.#lost,
      onEndpointVanished: () => this.#renew(),
      onWarning: (error) => this.#options.onWarning(warning(error)),
    })
    void this.#sweep()
  }

  /** The owner closes the member. */
  close(): void {
    this.#end({ type: 'closing' })
  }

  ref(): void {
    this.#ref = true
    this.#listener?.ref()
    this.#door.keepAlive(true)
  }

  unref(): void {
    this.#ref = false
    this.#listener?.unref()
    this.#door.keepAlive(false)
  }

  /**
   * In order: nothing new is taken, what was taken is settled and delivered until the deadline, then listener, lock and,
   * last, the links are closed (rules A9, A13).
   * When the lock is lost on the way, it ends at once (rule A1). Resolves when database and lock are free, whoever else
   * frees them, or then when the time is up.
   * @param isOver asked again and again: the time is up
   * @param settle what the owner ends in between: its own handlers, as long as they are not stopped, and `whilePrimary`
   */
  async handOver(isOver: () => boolean, settle: (stopped: () => boolean) => Promise<void>): Promise<void> {
    const successors = this.hub.links().length > 0
    if (!this.#stopped) await this.#drain(() => this.#stopped || isOver(), settle)
    if (this.#stopped) {
      await untilOver(this.#leaving, isOver)
      return
    }
    this.#stopped = true
    this.#leaving = this.#leave(successors)
    await this.#leaving
  }

  async #drain(isOver: () => boolean, settle: (stopped: () => boolean) => Promise<void>): Promise<void> {
    const { flush } = this.#options
    this.#handingOver = true
    this.seat.closing()
    this.hub.goAway()
    this.#database?.retire(this.#options.self.id)
    flush.flush()
    this.#settling = settle(isOver)
    await this.#settling
    if (this.#stopped) return
    this.hub.goAwayLocal()
    this.#database?.retire()
    while (!this.hub.drained && !isOver()) {
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    // What came while the loop was busy is read before the time counts (rule B1).
    if (!this.hub.drained) await oneTurn()
    if (this.#stopped) return
    this.hub.endTerm()
    flush.flush()
    // The links may bring answers and acknowledgements that are on their way.
    await oneTurn()
  }

  async #leave(successorExpected: boolean): Promise<void> {
    const { flush } = this.#options
    await this.#closeDatabase()
    this.#listener?.close()
    this.#door.close()
    this.seat.release({ successorExpected })
    flush.flush()
    for (const port of this.hub.links()) port.end()
    this.hub.close()
    await this.seat.synced
  }

  /**
   * At once: links see the end. Resolves when the lock is free. Idempotent.
   * @param work what must have ended before the next primary may begin
   */
  stop(work?: Promise<void>): Promise<void> {
    if (!this.#stopped) {
      this.#stopped = true
      this.#leaving = this.#stop(work)
    }
    return this.#leaving
  }

  /** A hand-over that is under way is no reason to go on. */
  readonly #lost = (error: ConclaveError): void => {
    this.#end({ type: 'lock-lost', error })
    if (!this.#handingOver || this.#stopped) return
    this.#options.onWarning(error)
    void this.stop(this.#settling)
  }

  async #stop(work: Promise<void> | undefined): Promise<void> {
    const waits = this.#database !== undefined || work !== undefined
    // Until the lock is free, who comes waits for the next one (rule A13). A seat that never served puts back what it replaced.
    if (waits && this.seat.state === 'serving') this.seat.closing()
    this.hub.close()
    this.#listener?.close()
    this.#door.close()
    const links = this.hub.links()
    const release = (): void => this.seat.release({ successorExpected: links.length > 0 })
    // Where nothing is to be waited for, the lock is free before anybody can see a link end.
    if (!waits) release()
    for (const port of links) {
      this.hub.remove(port, 'died')
      port.close()
    }
    if (!waits) return
    await Promise.all([this.#closeDatabase(), work])
    release()
  }

  /** What still waits in it gets no answer: the links end, and it is repeated at the next primary. */
  async #closeDatabase(): Promise<void> {
    const text = 'This process is no longer the primary.'
    try {
      await this.#database?.close(new ConclaveError('PRIMARY_LOST', text, { outcome: 'unknown' }))
    } catch (error) {
      this.#options.onWarning(warning(error))
    }
  }

  #doorCounters(): Readonly<Record<string, number>> {
    return Object.fromEntries(Object.entries(this.#door.counters).map(([name, n]) => [`door.${name}`, n as number]))
  }

  #listen(path: string): void {
    this.#listener = this.#options.transport.listen(path, {
      backlog: BACKLOG,
      onConnection: this.#door.accept,
      onError: (error) => this.#options.onWarning(warning(error)),
    })
    if (!this.#ref) this.#listener.unref()
  }

  /** Our socket's path is gone: a fresh one, in the same term (rule B6). Links live on. */
  #renew(): void {
    const old = this.#listener
    try {
      this.#listen(this.seat.renewEndpoint())
      // Before what may fail: nobody finds it any more, and nothing else would close it.
      old?.close()
      this.seat.announce()
    } catch (error) {
      this.#options.onWarning(warning(error))
    }
  }

  async #sweep(): Promise<void> {
    const { workspace, transport } = this.#options
    await sweepEndpoints(workspace.platform, {
      refuses: (path) => {
        try {
          transport.connect(path).close()
          return false
        } catch (error) {
          return ConclaveError.is(error) && (error.data as { errno?: unknown } | undefined)?.errno === 'ECONNREFUSED'
        }
      },
    })
  }
}

/** @throws what `takeSeat` throws; the lock is closed then */
function seatOf({ workspace, lock, self, seenTerm }: ReignOptions): Seat {
  try {
    return takeSeat(workspace, lock, { instance: self.id, name: self.name, protocol: PROTOCOL, records: [seenTerm] })
  } catch (error) {
    lock.close()
    throw error
  }
}
