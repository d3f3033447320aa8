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
  readonly previousTerm: number
  /** Highest term this member has seen: the new one is higher. */
  readonly seenTerm: number
  readonly expected: ReadonlySet<string> | undefined
  readonly succeeds: boolean
  readonly limits: Readonly<Record<string, number | undefined>>
  readonly onWarning: (error: ConclaveError) => void
}

/**
 * One term as primary, all or nothing: lock, term, switchboard, socket, announcement. It ends in one of two ways:
 * `handOver`, in order (rule A13), or `stop`, at once.
 */
export class Reign {
  readonly seat: Seat
  readonly hub: Hub
  readonly ended: Promise<EndOfReign>
  readonly #options: ReignOptions
  readonly #door: Door
  #listener: Listener | undefined
  #end!: (end: EndOfReign) => void
  #stopped = false
  #ref = true

  /** Takes the seat; the lock is the reign's from here on. @throws what `takeSeat` throws; the lock is closed then */
  constructor(options: ReignOptions) {
    const { workspace, lock, self, flush, pool, limits } = options
    this.#options = options
    try {
      this.seat = takeSeat(workspace, lock, {
        instance: self.id,
        name: self.name,
        protocol: PROTOCOL,
        records: [options.seenTerm],
      })
    } catch (error) {
      lock.close()
      throw error
    }
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
    const { seat } = this
    this.hub = new Hub({
      ...options,
      term: seat.term,
      identity: seat.identity,
      primary: self,
      holdsSeat: () => seat.check(),
      now: () => workspace.platform.now(),
      onNewer: (successor) => this.#end({ type: 'step-down', successor }),
      onExhausted: () => this.#end({ type: 'step-down', successor: undefined }),
      moreCounters: () => this.#doorCounters(),
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
    return this.hub.attachLocal(deliver)
  }

  /** Binds, announces and watches: members connect from now on. @throws what binding throws; `stop` undoes the rest */
  serve(ref: boolean): void {
    this.#ref = ref
    this.#door.keepAlive(ref)
    this.#listen(this.seat.endpointPath)
    this.seat.announce()
    this.seat.watch({
      onLost: (error) => this.#end({ type: 'lock-lost', error }),
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
   * @param isOver asked again and again: the time is up
   * @param settle what the owner ends in between: its own handlers, `whilePrimary`
   */
  async handOver(isOver: () => boolean, settle: () => Promise<void>): Promise<void> {
    const { flush } = this.#options
    const successors = this.hub.links().length > 0
    this.seat.closing()
    this.hub.goAway()
    flush.flush()
    await settle()
    while (!this.hub.drained && !this.#stopped && !isOver()) {
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    if (this.#stopped) return
    this.hub.endTerm()
    flush.flush()
    // The links may bring answers and acknowledgements that are on their way.
    await oneTurn()
    if (this.#stopped) return
    this.#stopped = true
    this.#listener?.close()
    this.#door.close()
    this.seat.release({ successorExpected: successors })
    flush.flush()
    for (const port of this.hub.links()) port.end()
    this.hub.close()
    await this.seat.synced
  }

  /** At once. Idempotent; links see the end. */
  stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    this.hub.close()
    this.#listener?.close()
    this.#door.close()
    this.seat.release({ successorExpected: this.hub.links().length > 0 })
    for (const port of this.hub.links()) {
      this.hub.remove(port, 'died')
      port.close()
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
      this.seat.announce()
      old?.close()
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
