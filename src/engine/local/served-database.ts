import { ConclaveError, errorToWire } from '../../errors/index.ts'
import type { Seat } from '../../election/index.ts'
import { decodeBody } from '../../rpc/body.ts'
import {
  feedToWire,
  type Coordinator,
  type FeedEvent,
  type OpenedDatabase,
  type Report,
  RequestContext,
} from '../../sqlite/index.ts'
import { Frame, KIND } from '../../wire/frame.ts'
import type { DatabaseSnapshot } from '../engine.ts'
import type { Hub } from './hub.ts'
import { DATABASE_CHECK_MS } from './limits.ts'
import type { LocalPort } from './local-port.ts'

/** What all methods of the database begin with: `$db.write`. */
const PREFIX = '$db.'

export interface ServedDatabaseOptions {
  readonly opened: OpenedDatabase
  readonly seat: Seat
  readonly durability: 'normal' | 'full'
  readonly onWarning: (error: ConclaveError) => void
}

/**
 * The database between switchboard and coordinator, for one term: `$db.*` requests of all members, the primary's own too,
 * in; answers and the change feed out. They pass by the handlers of the primary's member, which may not run yet.
 */
export class ServedDatabase {
  readonly #options: ServedDatabaseOptions
  /** Requests without an answer, by slot and number. */
  readonly #asked = new Map<string, RequestContext>()
  #timer: NodeJS.Timeout | undefined
  #coordinator!: Coordinator
  #hub: Hub | undefined
  #port: LocalPort | undefined
  /** What the feed told before there was a switchboard. */
  #early: FeedEvent[] = []
  #foreignWrites = 0
  #lost: ConclaveError | undefined
  #onLost: ((error: ConclaveError) => void) | undefined
  #closed = false

  /** @throws what `OpenedDatabase.serve` throws; the caller closes the opened one then */
  static async begin(options: ServedDatabaseOptions): Promise<ServedDatabase> {
    const database = new ServedDatabase(options)
    await database.#serve()
    return database
  }

  private constructor(options: ServedDatabaseOptions) {
    this.#options = options
  }

  /** From now on there are links. @param onLost nothing can be committed here any more: close them at once */
  attach(hub: Hub, port: LocalPort, onLost: (error: ConclaveError) => void): void {
    this.#hub = hub
    this.#port = port
    this.#onLost = onLost
    this.#tell(this.#early.splice(0))
    if (this.#lost !== undefined) onLost(this.#lost)
  }

  /** A frame for the primary's member. @returns whether it was for the database */
  receive(frame: Frame): boolean {
    if (frame.kind === KIND.REQUEST) {
      const { name } = frame
      if (!name.startsWith(PREFIX)) return false
      const nul = name.indexOf('\0')
      this.#request(nul < 0 ? name : name.slice(0, nul), frame)
      return true
    }
    if (frame.kind !== KIND.CANCEL) return false
    const asked = this.#asked.get(keyOf(frame.a, frame.number))
    asked?.giveUp(new ConclaveError('ABORTED', 'The caller gave up or disconnected.'))
    return asked !== undefined
  }

  /** Whether its file and its lock are where they were (rule A1): without them the term ends. */
  holds(): boolean {
    const { opened } = this.#options
    if (this.#closed || opened.check()) return true
    const text = `${opened.path}, or its lock, was deleted, moved or replaced while this process held it.`
    this.#fail(new ConclaveError('LOCK_LOST', text, { outcome: 'unknown' }))
    return false
  }

  /** A link of this member is gone: its transaction is rolled back, its numbers begin to age. */
  memberLeft(id: string): void {
    if (!this.#closed) this.#coordinator.memberLeft(id)
  }

  /** Nothing new is taken, but from this member: what can no longer end here goes back to its caller. */
  retire(except?: string): void {
    this.#coordinator.retire(except)
  }

  /** Rolls back what is open and closes the file, before the lock is left. Idempotent. */
  async close(error: ConclaveError): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearInterval(this.#timer)
    await this.#options.opened.close(error)
  }

  snapshot(): DatabaseSnapshot {
    const { opened, durability } = this.#options
    const { queued, wal } = this.#coordinator
    return {
      file: opened.path,
      durability,
      sqlite: opened.sqliteVersion,
      queue: queued,
      walBytes: wal.bytes,
      walHolders: wal.holders,
      foreignWrites: this.#foreignWrites,
    }
  }

  counters(): Readonly<Record<string, number>> {
    return Object.fromEntries(
      Object.entries(this.#coordinator.counters).map(([name, n]) => [`db.${name}`, n as number]),
    )
  }

  async #serve(): Promise<void> {
    const { opened, seat, onWarning } = this.#options
    this.#coordinator = await opened.serve({
      term: seat.term,
      lock: seat.identity,
      holdsSeat: () => seat.check(),
      onChanges: (events) => this.#tell(events),
      onForeignWrite: () => this.#foreign(),
      onLost: (error) => this.#fail(error),
      onReport: (report) => this.#report(report),
    })
    for (const error of opened.warnings) onWarning(error)
    this.#timer = setInterval(() => this.#check(), DATABASE_CHECK_MS)
    this.#timer.unref()
  }

  #request(method: string, frame: Frame): void {
    const { a: slot, number, time: deadline } = frame
    const member = this.#hub?.refOf(slot)?.id
    if (member === undefined) return
    let params: unknown
    try {
      params = decodeBody(frame)
    } catch (error) {
      this.#reply(KIND.FAILURE, slot, number, errorToWire(error))
      return
    }
    const asked = new RequestContext(member, deadline)
    const key = keyOf(slot, number)
    this.#asked.set(key, asked)
    void this.#answer(method, params, asked, slot, number, key)
  }

  /** Never rejects. */
  async #answer(
    method: string,
    params: unknown,
    context: RequestContext,
    slot: number,
    number: number,
    key: string,
  ): Promise<void> {
    try {
      const answer = await this.#coordinator.request(method, params, context)
      this.#reply(KIND.RESPONSE, slot, number, answer)
    } catch (error) {
      if (ConclaveError.is(error, 'PRIMARY_LOST') && error.outcome === 'not-committed' && !this.#closed) {
        this.#hub?.calls.giveBack(this.#port!, slot, number)
      } else if (this.#closed || this.#lost !== undefined) {
        // The links end, and whoever asked repeats it at the next primary: it may know a better answer than this one.
      } else this.#reply(KIND.FAILURE, slot, number, errorToWire(error))
    } finally {
      this.#asked.delete(key)
    }
  }

  #reply(kind: number, slot: number, number: number, body: unknown): void {
    this.#hub?.receive(this.#port!, new Frame().set(kind, 0, slot, 0, 0, number, 0).withBody(JSON.stringify(body)))
  }

  #tell(events: readonly FeedEvent[]): void {
    const hub = this.#hub
    if (hub === undefined) this.#early.push(...events)
    else for (const event of events) hub.events.announce(this.#port!, '$db.changed', feedToWire(event))
  }

  #report(report: Report): void {
    const { onWarning, opened } = this.#options
    if (report.type === 'wal') {
      const { bytes, holders } = report
      const who = holders === undefined || holders.length === 0 ? 'an unknown process' : `pid ${holders.join(', ')}`
      const text = `The WAL of ${opened.path} has grown to ${bytes} bytes, because an open read of ${who} keeps it from being cut.`
      onWarning(new ConclaveError('OVERLOADED', text, { data: { bytes, holders } }))
      this.#hub?.events.announce(this.#port!, '$db.wal', { bytes, holders })
    } else if (report.type === 'busy') {
      const text = `Another program has had ${opened.path} locked for ${Math.round(report.forMs)} ms: writes wait for it. Let it end its transaction.`
      onWarning(new ConclaveError('DATABASE_IN_USE', text))
    } else {
      const text = `Old keys could not be removed from ${opened.path}; it is tried again within the hour.`
      onWarning(new ConclaveError('FAILED', text, { cause: report.error }))
    }
  }

  #foreign(): void {
    if (this.#foreignWrites++ > 0) return
    const { onWarning, opened } = this.#options
    const text = `Another program wrote to ${opened.path}: writes that pass by this workspace are not part of its promises.`
    onWarning(new ConclaveError('CONFLICT', text))
  }

  #check(): void {
    if (!this.#closed && this.holds()) void this.#coordinator.look()
  }

  #fail(error: ConclaveError): void {
    if (this.#lost !== undefined) return
    this.#lost = error
    this.#onLost?.(error)
  }
}

function keyOf(slot: number, number: number): string {
  return `${slot} ${number}`
}
