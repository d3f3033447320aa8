import { ConclaveError, asError } from '../../errors/index.ts'
import { sleep } from '../../election/wait.ts'
import type { Lock } from '../../platform/index.ts'
import type { Connection, Listener } from '../../transport/index.ts'
import { Later, throwIfAborted } from '../shared/abort.ts'
import { listenAt, privateDirectory, type Place } from '../shared/place.ts'
import { placeOf, type Internals } from '../shared/uids.ts'
import { readPidFile, takeAliveLock, writePidFile } from './alive.ts'
import { encodeMessage, fittingStatus } from './codec.ts'
import { Dedup } from './dedup.ts'
import { eventText } from './event-text.ts'
import { BACKLOG, LOCK_CHECK_MS } from './limits.ts'
import type { AnyMessage, EventFields, SourceState, StatusResponse } from './messages.ts'
import { busLimits, type BusEnd, type BusLimits, type BusOptions } from './options.ts'
import { busFiles, type BusFiles } from './paths.ts'
import { Peer, type PeerHandlers, type PeerOptions } from './peer.ts'
import { keyOf, Reception } from './reception.ts'
import { Routes } from './routes.ts'
import type { Published, Source, SourceRunner } from './source.ts'

/**
 * Starts a bus in this process.
 * @throws `SOCKET_IN_USE` (another bus serves there), `PATH_TOO_LONG`, `FOREIGN_WORKSPACE`, `UNSAFE_WORKSPACE`, `ABORTED`
 */
export async function listenBus(options: BusOptions, internals: Internals = {}): Promise<EventBus> {
  const files = busFiles(options.socket)
  const limits = busLimits(options)
  const place = placeOf(options, internals)
  throwIfAborted(options.signal)
  privateDirectory(place.platform, files.directory)
  const lock = await takeAliveLock(place, files, limits.lockWaitMs, options.signal)
  try {
    return new EventBus(options, limits, place, files, lock)
  } catch (error) {
    lock.close()
    throw error
  }
}

export interface BusCounters {
  readonly published: number
  readonly duplicates: number
  /** Connections of other users. */
  readonly refused: number
  /** Connections that began with nothing, or with something else. */
  readonly strangers: number
  readonly acceptErrors: number
}

/** The hub process of the event bus. */
export class EventBus implements AsyncDisposable {
  readonly socket: string
  readonly pid: number = process.pid
  readonly startedAt: Date = new Date()
  /** Resolves when the bus has ended, with why. Never rejects. */
  readonly closed: Promise<BusEnd>
  readonly #options: BusOptions
  readonly #limits: { readonly [K in keyof BusLimits]: number }
  readonly #place: Place
  readonly #files: BusFiles
  readonly #lock: Lock
  readonly #reception: Reception
  readonly #routes: Routes
  readonly #dedup: Dedup
  readonly #peers = new Set<Peer>()
  readonly #sources = new Set<Source>()
  readonly #ended = new Later<BusEnd>()
  readonly #lockCheck: NodeJS.Timeout
  readonly #runners = new AbortController()
  readonly #peerOptions: PeerOptions
  readonly #handlers: PeerHandlers
  #listener: Listener
  #idle: NodeJS.Timeout | undefined
  #nextId = 1
  #closing: Promise<BusEnd> | undefined
  #counters = { published: 0, duplicates: 0, refused: 0, strangers: 0, acceptErrors: 0 }

  /** Use `listenBus`. */
  constructor(
    options: BusOptions,
    limits: { readonly [K in keyof BusLimits]: number },
    place: Place,
    files: BusFiles,
    lock: Lock,
  ) {
    this.#options = options
    this.#limits = limits
    this.#place = place
    this.#files = files
    this.#lock = lock
    this.socket = files.socket
    this.closed = this.#ended.promise
    this.#dedup = new Dedup(limits.dedupMs, limits.dedupSize)
    this.#routes = new Routes(limits.stallMs)
    this.#peerOptions = {
      ...limits,
      queue: { events: limits.queueSize, bytes: limits.queueBytes, states: limits.queuedStates },
    }
    this.#handlers = {
      onMessage: (peer, message) => this.#received(peer, message),
      onDrain: () => this.#routes.drained(),
      onDirty: (peer) => this.#routes.dirty(peer),
      onGone: (peer) => this.#gone(peer),
    }
    this.#listener = this.#listen()
    const { exclusive = [] } = options
    const keys = typeof exclusive === 'function' ? undefined : new Set(exclusive)
    // A clean end removes the file: what is left tells of a bus that was killed, whose consumers are about to come back.
    const killedBefore = readPidFile(place, files) !== undefined
    this.#reception = new Reception({
      ...limits,
      settleMs: killedBefore ? limits.settleMs : 0,
      exclusive: typeof exclusive === 'function' ? exclusive : (key) => keys?.has(key) === true,
      notice: (notice) => options.onNotice?.(notice),
      admitted: (peer) => this.#admitted(peer),
    })
    writePidFile(place, files, { pid: this.pid, startedAt: this.startedAt.toISOString() })
    this.#lockCheck = setInterval(() => this.#checkLock(), LOCK_CHECK_MS).unref()
    options.signal?.addEventListener('abort', this.#onAbort)
    this.#watchIdle()
  }

  get consumers(): number {
    return this.#reception.consumers
  }

  get counters(): BusCounters {
    return { ...this.#counters }
  }

  status(): StatusResponse {
    const consumers = [...this.#peers].filter((peer) => peer.phase === 'consumer')
    return {
      type: 'status_response',
      pid: this.pid,
      uptimeSec: Math.floor((Date.now() - this.startedAt.getTime()) / 1000),
      activeConns: consumers.length,
      consumers: consumers.map((peer) => ({
        pid: peer.pid,
        eventKey: peer.hello?.eventKey ?? '',
        subscriptionId: peer.hello === undefined ? undefined : keyOf(peer.hello),
        received: peer.queue.received,
        dropped: peer.queue.dropped,
      })),
      ...this.#options.statusFields,
    }
  }

  /**
   * Queues an event for every consumer of its type. A consumer that does not keep up loses its oldest ones, and sees how
   * many; `room()` lets a publisher go no faster than those who read.
   * @throws `FRAME_TOO_LARGE`, `INVALID_REQUEST` (no JSON), `CLOSED`
   */
  publish(event: EventFields): Published {
    if (this.#closing !== undefined) throw new ConclaveError('CLOSED', 'The bus is closed.')
    const text = eventText(event, this.#limits.maxFrameBytes)
    if (event.eventId !== undefined && !this.#dedup.add(event.eventId, performance.now())) {
      this.#counters.duplicates++
      return { consumers: 0, duplicate: true }
    }
    this.#counters.published++
    return { consumers: this.#routes.publish(event.eventType, text), duplicate: false }
  }

  /** Whether every consumer that reads has room for more. */
  get hasRoom(): boolean {
    return this.#routes.hasRoom(this.#limits.queueSize)
  }

  /** Resolves when every consumer that reads has room; one that takes nothing (stopped) is not waited for. @throws `ABORTED` */
  async room(options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    await this.#routes.room(this.#limits.queueSize, options.signal)
  }

  /** A source by hand. */
  source(name: string, state: SourceState = 'connecting'): Source {
    const source = new BusSource(
      name,
      state,
      this,
      (line) => this.#routes.tellAll(line),
      () => this.#sources.delete(source),
    )
    this.#sources.add(source)
    return source
  }

  /** Runs a source. When it ends, by itself or by an error, the bus ends, as the existing one does. */
  attach(name: string, runner: SourceRunner): void {
    const source = this.source(name)
    const ended = async (): Promise<void> => {
      try {
        await runner(source, { signal: this.#runners.signal })
      } catch (error) {
        void this.#close({ type: 'failed', error: asError(error) })
        return
      }
      void this.#close({ type: 'source-ended' })
    }
    void ended()
  }

  /** What is queued still goes to those who read; then connections, socket file and, last, the lock are given up. Idempotent. */
  close(): Promise<BusEnd> {
    return this.#close({ type: 'closed' })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #listen(): Listener {
    return listenAt(this.#place, this.#files.socket, {
      backlog: BACKLOG,
      onConnection: (connection) => this.#accepted(connection),
      onError: (error) => this.#acceptFailed(error),
    })
  }

  #accepted(connection: Connection): void {
    const strangers = [...this.#peers].filter(({ phase }) => phase === 'stranger')
    if (strangers.length >= this.#limits.maxStrangers) {
      this.#counters.strangers++
      strangers[0]?.close()
    }
    this.#peers.add(new Peer(this.#nextId++, connection, this.#peerOptions, this.#handlers))
  }

  /** Accepting goes on (weak point 11 of SEEDS 4.5). */
  #acceptFailed(error: Error): void {
    const refused = ConclaveError.is(error, 'FORBIDDEN')
    if (refused) this.#counters.refused++
    else this.#counters.acceptErrors++
    this.#options.onNotice?.({ type: refused ? 'refused' : 'accept-error', error })
  }

  #received(peer: Peer, message: AnyMessage | undefined): void {
    if (peer.phase === 'stranger') this.#first(peer, message)
    else if (message?.type === 'bye') {
      peer.parted = true
      peer.close()
    } else if (peer.phase === 'consumer' && message?.type === 'pre_shutdown_check') this.#reception.check(peer)
    else if (peer.phase === 'consumer' && message?.type === 'setup_done') this.#reception.setupDone(peer)
  }

  #first(peer: Peer, message: AnyMessage | undefined): void {
    peer.known()
    switch (message?.type) {
      case 'hello':
        this.#reception.hello(peer, message)
        this.#watchIdle()
        return
      case 'status_query':
        peer.answer(fittingStatus(this.status(), this.#limits.maxFrameBytes))
        peer.finish()
        return
      case 'shutdown':
        peer.finish()
        if (this.#options.allowShutdown !== false) void this.#close({ type: 'shutdown', pid: peer.pid })
        return
      default:
        this.#counters.strangers++
        peer.finish()
    }
  }

  #admitted(peer: Peer): void {
    this.#routes.add(peer)
    this.#watchIdle()
  }

  #gone(peer: Peer): void {
    this.#peers.delete(peer)
    this.#routes.remove(peer)
    if (this.#closing !== undefined) return
    this.#reception.gone(peer)
    this.#watchIdle()
  }

  #watchIdle(): void {
    const idle = !this.#reception.occupied && this.#closing === undefined && this.#limits.idleExitMs > 0
    if (!idle) {
      clearTimeout(this.#idle)
      this.#idle = undefined
    } else this.#idle ??= setTimeout(() => void this.#lastCall(), this.#limits.idleExitMs)
  }

  /**
   * Nobody can find the bus any more, but whoever was just connecting is still heard (weak point 10 of SEEDS 4.5): a
   * consumer among them gets the bus back.
   */
  async #lastCall(): Promise<void> {
    this.#place.platform.remove(this.#files.socket)
    do await sleep(this.#limits.lastCallMs)
    while (this.#closing === undefined && [...this.#peers].some(({ phase }) => phase === 'stranger'))
    if (this.#closing !== undefined) return
    if (!this.#reception.occupied) {
      await this.#close({ type: 'idle' })
      return
    }
    const before = this.#listener
    try {
      this.#listener = this.#listen()
      before.close()
    } catch (error) {
      await this.#close({ type: 'failed', error: asError(error) })
    }
    this.#idle = undefined
    this.#watchIdle()
  }

  #checkLock(): void {
    if (!this.#lock.stillOurs()) void this.#close({ type: 'lock-lost' })
  }

  readonly #onAbort = (): void => void this.#close({ type: 'aborted' })

  #close(end: BusEnd): Promise<BusEnd> {
    return (this.#closing ??= this.#end(end))
  }

  async #end(end: BusEnd): Promise<BusEnd> {
    // What follows must not run before `#closing` is set.
    await Promise.resolve()
    clearTimeout(this.#idle)
    clearInterval(this.#lockCheck)
    this.#options.signal?.removeEventListener('abort', this.#onAbort)
    this.#runners.abort()
    this.#listener.close()
    this.#reception.close()
    await this.#routes.drain(this.#limits.drainMs)
    const gone = new Later<void>()
    for (const peer of this.#peers) peer.close()
    const last = (): void => {
      if (this.#peers.size === 0) gone.resolve()
      else setImmediate(last)
    }
    last()
    await gone.promise
    this.#release(end)
    this.#ended.resolve(end)
    return end
  }

  /** After a lost lock the files may be another bus's. */
  #release(end: BusEnd): void {
    try {
      if (end.type !== 'lock-lost') this.#place.platform.remove(this.#files.pid)
    } catch {
      // Its directory is gone or closed to us: the next bus only waits a moment longer for consumers to come back.
    }
    this.#lock.close()
  }
}

class BusSource implements Source {
  readonly name: string
  readonly #bus: EventBus
  readonly #tell: (line: string) => void
  readonly #onClose: () => void
  #state: SourceState
  #closed = false

  constructor(name: string, state: SourceState, bus: EventBus, tell: (line: string) => void, onClose: () => void) {
    this.name = name
    this.#state = state
    this.#bus = bus
    this.#tell = tell
    this.#onClose = onClose
  }

  get state(): SourceState {
    return this.#state
  }

  publish(event: EventFields): Published {
    if (this.#closed) throw new ConclaveError('CLOSED', `The source ${this.name} is closed.`)
    return this.#bus.publish(event)
  }

  status(state: SourceState, detail?: string): void {
    if (this.#closed) return
    this.#state = state
    this.#tell(encodeMessage({ type: 'source_status', source: this.name, state, detail }))
  }

  close(): void {
    this.#closed = true
    this.#onClose()
  }

  [Symbol.dispose](): void {
    this.close()
  }
}
