import { ConclaveError, errorFromWire } from '../../errors/index.ts'
import {
  JOINING,
  allowance,
  endpointPath,
  newInstance,
  readAnnouncement,
  seek,
  standAgain,
  transition,
  type Announcement,
  type Role as RoleState,
  type RoleEvent,
  type Verb,
  type Workspace,
} from '../../election/index.ts'
import { Publisher } from '../../events/publisher.ts'
import {
  Subscriber,
  type ActiveSubscription,
  type ReceivedEvent,
  type SubscriptionRequest,
} from '../../events/subscriber.ts'
import { decodeBody, encodeBody, type Body } from '../../rpc/body.ts'
import { TO_PRIMARY } from '../../rpc/address.ts'
import { Caller, type FrameSink } from '../../rpc/caller.ts'
import { Dispatcher } from '../../rpc/dispatcher.ts'
import { IncomingStream } from '../../rpc/incoming-stream.ts'
import type { CallSpec, PendingCall, Reply } from '../../rpc/pending.ts'
import { DeadlineWheel } from '../../rpc/timers.ts'
import type { Lock } from '../../platform/platform.ts'
import { flushAtExit, flushed, type Transport } from '../../transport/index.ts'
import { FLAG, Frame, KIND } from '../../wire/frame.ts'
import { PROTOCOL, type Hello, type Welcome } from '../../wire/handshake.ts'
import { MAX_BODY_BYTES, MAX_NAME_BYTES } from '../../wire/limits.ts'
import type { MemberRef, Role } from '../../wire/peers.ts'
import { BatchPool } from '../../wire/writer.ts'
import type {
  CloseReason,
  Engine,
  EngineCall,
  EngineOffer,
  EngineStatus,
  EngineStream,
  HubSnapshot,
  LossCause,
  Peers,
  PeersQuery,
} from '../engine.ts'
import { FlushScheduler } from './flush.ts'
import { DRAIN_MS, MAX_OFFERS } from './limits.ts'
import { dial, type Link } from './link.ts'
import { Liveness } from './liveness.ts'
import { MEMBER_STATE } from './port.ts'
import { Reign, warning, type EndOfReign } from './reign.ts'

/** Ends what runs only while primary. */
export type StopReign = () => Promise<void>

export interface LocalEngineOptions {
  readonly workspace: Workspace
  readonly transport: Transport
  readonly name: string
  readonly pid: number
  readonly version: number
  readonly minVersion: number
  readonly primary: 'may' | 'never' | 'must'
  readonly waitMs: number
  readonly ref: boolean
  readonly limits: Readonly<Record<string, number | undefined>>
  /** Runs in the primary before it serves; a rejection gives the seat up. */
  readonly whilePrimary?: ((term: number) => Promise<StopReign>) | undefined
}

/** Milliseconds that a member of an older version leaves the seat to a newer one before it stands again. */
const DEFER_MS = 2_000
/** Members of this term that left and can still be named. */
const MAX_PAST_MEMBERS = 1024
const UNKNOWN_MEMBER: MemberRef = { id: '', name: 'unknown', pid: 0 }

/** The local engine: a workspace carried by one primary's switchboard over Unix sockets, or memory. */
export class LocalEngine implements Engine {
  readonly self: MemberRef
  readonly closed: Promise<CloseReason>
  readonly #options: LocalEngineOptions
  readonly #pool = new BatchPool()
  readonly #flush = new FlushScheduler()
  readonly #wheel: DeadlineWheel
  readonly #caller: Caller
  readonly #dispatcher: Dispatcher
  readonly #publisher: Publisher
  readonly #subscriber: Subscriber
  readonly #offers = new Map<string, EngineOffer>()
  /** Members of the present term by slot. */
  readonly #members = new Map<number, MemberRef>()
  /** Those that left it, as far as events may still name them: the switchboard repeats the name before older ones. */
  readonly #pastMembers = new Map<number, MemberRef>()
  readonly #listeners = new Set<(status: EngineStatus) => void>()
  readonly #frame = new Frame()
  readonly #stop = new AbortController()
  readonly #backOff = standAgain()
  #role: RoleState = JOINING
  #primary: MemberRef | undefined
  /** Where frames go; `undefined` while there is no primary. */
  #sink: FrameSink | undefined
  #link: Link | undefined
  #liveness: Liveness | undefined
  #reign: Reign | undefined
  #stopReign: Promise<StopReign | undefined> | undefined
  #linkEnded: (() => void) | undefined
  #goneAway = false
  #ponged = false
  #lostAt = 0
  /** The workspace's identity, once known: another lock at the path is another workspace (rule B3). */
  #identity: string | undefined
  #deferUntil = 0
  #ending: ConclaveError | undefined
  #ref: boolean
  #holds = 0
  #keepAlive: NodeJS.Timeout | undefined
  #closing: Promise<void> | undefined
  #resolveClosed!: (reason: CloseReason) => void
  readonly #flushAtExit = (): void => this.#flush.flush()
  readonly #beforeExit = (): void => void this.close({ timeoutMs: 1000 })

  constructor(options: LocalEngineOptions) {
    const { workspace, limits } = options
    this.#options = options
    this.#ref = options.ref
    this.self = { id: newInstance(), name: options.name, pid: options.pid }
    this.#wheel = new DeadlineWheel({ now: () => workspace.platform.now(), ref: options.ref })
    this.#caller = new Caller({
      wheel: this.#wheel,
      unresponsive: () => {
        this.#liveness?.refresh()
        return this.#liveness?.responsive === false
      },
      maxPendingCalls: limits['maxPendingCalls'],
      maxPendingBytes: limits['maxPendingBytes'],
    })
    this.#dispatcher = new Dispatcher(this.#wheel)
    this.#publisher = new Publisher({
      maxUnacked: limits['maxUnackedPublishes'],
      maxUnackedBytes: limits['maxUnackedBytes'],
    })
    this.#subscriber = new Subscriber((pattern, count) => this.#tell({ type: 'dropped', pattern, count }))
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve
    })
    flushAtExit(this.#flushAtExit)
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
    return this.#sink === undefined ? undefined : this.#primary
  }

  now(): number {
    return this.#wheel.now()
  }

  /**
   * Elects or connects; resolves when this member serves or is linked.
   * @throws what `seek` and the handshake throw, and what `whilePrimary` throws
   */
  async join(deadlineMs: number, signal: AbortSignal | undefined): Promise<void> {
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

  call(call: EngineCall): Promise<unknown> {
    return this.#ask({ ...call, kind: KIND.REQUEST }, 0, decodeBody)
  }

  async notify(call: EngineCall): Promise<void> {
    await this.#ask({ ...call, kind: KIND.REQUEST }, FLAG.NOTIFY, () => undefined)
  }

  stream(call: EngineCall): EngineStream {
    let pending: PendingCall | undefined
    const stream = new IncomingStream(
      (bytes) => {
        if (pending !== undefined) this.#caller.credit(pending, bytes)
      },
      () => {
        if (pending !== undefined) this.#caller.waits(pending)
      },
    )
    const refused = this.#refusal('request')
    const release = this.#hold()
    stream.result.then(release, release)
    if (refused !== undefined) stream.reply.error(refused)
    else pending = this.#caller.start(call, FLAG.STREAM, stream.reply)
    return {
      next: () => stream.next(),
      result: stream.result,
      cancel: (reason) => {
        stream.leave()
        const text = `The stream of ${call.method} was left by its reader.`
        if (pending !== undefined) this.#caller.cancel(pending, new ConclaveError('ABORTED', text, { cause: reason }))
      },
    }
  }

  async peers(query: PeersQuery, deadline: number, signal?: AbortSignal): Promise<Peers> {
    return (await this.#query('peers', query, deadline, signal)) as Peers
  }

  async inspect(deadline: number, signal?: AbortSignal): Promise<HubSnapshot> {
    return (await this.#query('inspect', {}, deadline, signal)) as HubSnapshot
  }

  offer(offer: EngineOffer): void {
    this.#refuse('register')
    const bytes = Buffer.byteLength(offer.method)
    if (bytes === 0 || bytes > MAX_NAME_BYTES || offer.method.includes('\0')) {
      const text = `A method's name has 1 to ${MAX_NAME_BYTES} bytes and no NUL.`
      throw new ConclaveError('INVALID_OPTION', text)
    }
    if (this.#offers.size >= MAX_OFFERS) {
      throw new ConclaveError('OVERLOADED', `A member may offer ${MAX_OFFERS} methods: withdraw some.`)
    }
    this.#dispatcher.handle(offer.method, offer.handler)
    this.#offers.set(offer.method, offer)
    if (this.#sink !== undefined) this.#announceOffer(this.#sink, offer)
  }

  withdraw(method: string): void {
    if (!this.#offers.delete(method)) return
    this.#dispatcher.remove(method)
    this.#announceWithdrawal(method)
  }

  open(): void {
    this.#dispatcher.open()
  }

  publish(topic: string, body: Body): Promise<number> {
    const refused = this.#refusal('request')
    if (refused !== undefined) {
      const rejected = Promise.reject<number>(refused)
      rejected.catch(() => {})
      return rejected
    }
    const published = this.#publisher.publish(topic, body)
    if (!this.#ref) {
      const release = this.#hold()
      published.then(release, release)
    }
    return published
  }

  subscribe<Out>(
    request: SubscriptionRequest,
    deliver: (event: ReceivedEvent, missed: number, atLeast: number) => Out,
  ): ActiveSubscription<Out> {
    this.#refuse('register')
    return this.#subscriber.subscribe(request, deliver)
  }

  unsubscribe(subscription: ActiveSubscription<unknown>): void {
    this.#subscriber.unsubscribe(subscription)
  }

  onStatus(listener: (status: EngineStatus) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  counters(): Readonly<Record<string, number>> {
    const { calls, repeated, timedOut, unknownReplies } = this.#caller.counters
    const { requests, expired, failed, attached } = this.#dispatcher.counters
    const { published, rejected, repeated: republished } = this.#publisher.counters
    const { received, dropped, missed, duplicates } = this.#subscriber
    return {
      ...{ calls, repeated, timedOut, unknownReplies, pending: this.#caller.pendingCount },
      ...{ requests, expired, failed, attached, running: this.#dispatcher.running },
      ...{ published, rejected, republished, unacked: this.#publisher.unacked },
      ...{ received, dropped, missed, duplicates, subscriptions: this.#subscriber.count },
    }
  }

  close(options: { readonly timeoutMs: number; readonly signal?: AbortSignal | undefined }): Promise<void> {
    this.#closing ??= this.#drain(options)
    return this.#closing
  }

  abort(reason: unknown): void {
    if (this.#role.name === 'closed') return
    this.#become({ type: 'abort', cause: reason })
    const text = 'This member was aborted.'
    this.#end({ type: 'aborted', cause: reason }, new ConclaveError('ABORTED', text, { cause: reason }))
  }

  ref(): void {
    this.#ref = true
    this.#wheel.ref()
    this.#link?.ref()
    this.#reign?.ref()
    process.off('beforeExit', this.#beforeExit)
  }

  unref(): void {
    this.#ref = false
    this.#wheel.unref()
    this.#link?.unref()
    this.#reign?.unref()
    process.off('beforeExit', this.#beforeExit)
    if (this.#reign !== undefined) process.on('beforeExit', this.#beforeExit)
  }

  /** Not while it closes: what ends the link then is no loss. */
  get #goesOn(): boolean {
    return !this.#stop.signal.aborted && this.#role.name !== 'closing' && this.#role.name !== 'closed'
  }

  async #live(joinDeadlineMs: number, joined: () => void, failed: (error: unknown) => void): Promise<void> {
    let first = true
    while (this.#goesOn) {
      try {
        const place = await this.#seek(first ? joinDeadlineMs : Infinity, first)
        if (!this.#goesOn) {
          place?.close()
          break
        }
        if (place === undefined) {
          joined()
          first = false
          await this.#untilLinkEnds()
        } else {
          await this.#serve(place, () => {
            joined()
            first = false
          })
        }
        this.#backOff.reset()
      } catch (error) {
        if (first) {
          failed(error)
          return
        }
        if (!this.#goesOn || this.#cannotGoOn(error)) return
        this.#tell({ type: 'warning', error: warning(error) })
        await this.#pause(this.#backOff.next())
      }
    }
    if (first) failed(new ConclaveError('ABORTED', 'Joining was aborted.', { cause: this.#stop.signal.reason }))
  }

  /** @returns the lock when this member won; `undefined` when it is linked to a primary */
  async #seek(deadline: number, first: boolean): Promise<Lock | undefined> {
    const { workspace, primary, waitMs } = this.#options
    const { platform } = workspace
    const now = platform.now()
    const stands = primary !== 'never' && now >= this.#deferUntil
    const waitUntil = primary === 'may' ? undefined : first ? now + waitMs : Infinity
    const lost = this.#lost
    const sought = await seek<Link>(workspace, {
      stand: stands,
      attempt: (announcement, signal) => this.#attempt(announcement, signal, first),
      // One that leaves the seat to a newer version comes back to stand when nobody took it.
      deadline: stands || primary === 'never' ? deadline : Math.min(deadline, this.#deferUntil),
      waitUntil,
      lost,
      identity: this.#identity,
      signal: this.#stop.signal,
      ref: this.#ref || this.#holds > 0 || first,
    })
    return sought.type === 'won' ? sought.lock : undefined
  }

  get #lost(): { instance: string; term: number } | undefined {
    if (this.#role.name !== 'seeking' || this.#primary === undefined || this.#primary.id === this.self.id)
      return undefined
    return { instance: this.#primary.id, term: this.#role.term }
  }

  #attempt(announcement: Announcement, signal: AbortSignal, first: boolean): Promise<Link> {
    const { workspace, transport, primary, version, minVersion, limits } = this.#options
    if (primary === 'must' && first) {
      const { name, pid } = announcement
      const text = `${workspace.label} has a primary already: ${name} (pid ${pid}). It must end before this program can serve.`
      const error = new ConclaveError('PRIMARY_EXISTS', text, { data: { id: announcement.instance, name, pid } })
      return Promise.reject(error)
    }
    const hello: Hello = {
      protocol: PROTOCOL,
      workspace: workspace.identity() ?? '',
      ...this.self,
      term: this.#role.term,
      version,
      minVersion,
      stands: primary !== 'never',
    }
    return dial(
      endpointPath(announcement.endpoint),
      hello,
      {
        transport,
        pool: this.#pool,
        flush: this.#flush,
        maxBodyBytes: limits['maxBodyBytes'],
        onWelcome: (link, welcome) => this.#welcomed(link, welcome, announcement),
        onFrame: this.#receive,
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
    this.#goneAway = false
    this.#members.clear()
    this.#pastMembers.clear()
    this.#liveness = new Liveness({
      link,
      outstanding: () => this.#caller.inFlight > 0 || this.#publisher.unacked > 0,
      unresponsiveMs: this.#options.limits['unresponsiveMs'],
      onChange: (responsive) => this.#responsive(responsive),
    })
    this.#attach(link, welcome.primary, welcome.lastPublish)
  }

  async #serve(lock: Lock, joined: () => void): Promise<void> {
    const { workspace, whilePrimary } = this.#options
    const previous = readAnnouncement(workspace)
    const previousTerm = previous.type === 'announcement' ? previous.announcement.term : 0
    const wasIn = this.#role.term > 0 && this.#role.term === previousTerm
    const expected = wasIn ? new Set([...this.#members.values()].map(({ id }) => id)) : undefined
    expected?.delete(this.self.id)
    if (this.#primary !== undefined) expected?.delete(this.#primary.id)
    const reign = new Reign({
      ...this.#options,
      lock,
      pool: this.#pool,
      flush: this.#flush,
      self: this.self,
      previousTerm,
      seenTerm: this.#role.term,
      expected,
      succeeds: previous.type !== 'absent',
      onWarning: (error) => this.#tell({ type: 'warning', error }),
    })
    this.#identity = reign.seat.identity
    try {
      this.#become({ type: 'won', term: reign.seat.term, instance: this.self.id })
      this.#reign = reign
      this.#goneAway = false
      this.#members.clear()
      this.#pastMembers.clear()
      const port = reign.attach(this.#receive)
      const maxBodyBytes = this.#options.limits['maxBodyBytes'] ?? MAX_BODY_BYTES
      this.#attach(
        { send: (frame) => sendLocal(reign, port, frame, maxBodyBytes) },
        this.self,
        port.session.lastPublish,
      )
      if (whilePrimary !== undefined) {
        const started = whilePrimary(reign.seat.term)
        this.#stopReign = started.catch(() => undefined)
        await started
      }
      if (!this.#goesOn) throw new ConclaveError('ABORTED', 'The member closed while it took the seat.')
      reign.serve(this.#ref)
    } catch (error) {
      await this.#abdicate(reign, { type: 'step-down', successor: undefined }, 0)
      throw error
    }
    if (!this.#ref) process.on('beforeExit', this.#beforeExit)
    joined()
    const end = await reign.ended
    if (end.type === 'closing') return
    await this.#abdicate(reign, end, this.now() + (this.#options.limits['drainMs'] ?? DRAIN_MS))
    if (end.type === 'lock-lost') this.#tell({ type: 'warning', error: end.error })
  }

  /** From primary to seeking. */
  async #abdicate(reign: Reign, end: EndOfReign, deadline: number): Promise<void> {
    process.off('beforeExit', this.#beforeExit)
    if (this.#role.name === 'primary') this.#become({ type: end.type === 'lock-lost' ? 'lock-lost' : 'step-down' })
    const isOver = (): boolean => this.now() >= deadline
    if (end.type === 'lock-lost' || deadline === 0) {
      reign.stop()
      await this.#stopWhilePrimary()
    } else await reign.handOver(isOver, () => atMost(this.#stopWhilePrimary(), isOver))
    if (end.type === 'step-down' && end.successor !== undefined) this.#deferUntil = this.now() + DEFER_MS
    if (this.#reign !== reign) return
    this.#reign = undefined
    this.#detach(end.type === 'lock-lost' ? 'gone' : 'handover')
    if (this.#role.name === 'stepping-down') this.#become({ type: 'handed-over' })
  }

  async #stopWhilePrimary(): Promise<void> {
    const starting = this.#stopReign
    this.#stopReign = undefined
    try {
      const stop = await starting
      await stop?.()
    } catch (error) {
      this.#tell({ type: 'warning', error: warning(error) })
    }
  }

  #attach(sink: FrameSink, primary: MemberRef, lastPublish: number): void {
    this.#sink = sink
    this.#primary = primary
    const { term } = this.#role
    this.#dispatcher.attach(sink)
    for (const offer of this.#offers.values()) this.#announceOffer(sink, offer)
    // Behind the offers: the switchboard has all of them.
    sink.send(this.#frame.set(KIND.PING, 0, 0, 0, 0, 0, 0))
    this.#subscriber.attach(sink, term)
    this.#publisher.attach(sink, term, lastPublish)
    this.#caller.attach(sink)
    this.#tell({ type: 'role', role: this.role, term })
    const afterMs = this.#lostAt === 0 ? 0 : this.now() - this.#lostAt
    this.#tell({ type: 'primary-found', primary, term, afterMs })
  }

  #detach(cause: LossCause): void {
    const taken = this.#link?.takenBytes
    this.#sink = undefined
    this.#lostAt = this.now()
    this.#liveness?.close()
    this.#liveness = undefined
    this.#link = undefined
    this.#dispatcher.detach()
    this.#subscriber.detach()
    this.#publisher.detach()
    this.#caller.detach(taken)
    this.#tell({ type: 'primary-lost', term: this.#role.term, cause })
  }

  #linkClosed(link: Link, error: Error | undefined): void {
    if (this.#link !== link) return
    if (error !== undefined && !ConclaveError.is(error, 'DISCONNECTED')) {
      this.#tell({ type: 'warning', error: warning(error) })
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

  #responsive(responsive: boolean): void {
    const { term } = this.#role
    if (!responsive) this.#tell({ type: 'primary-lost', term, cause: 'unresponsive' })
    else if (this.#primary !== undefined) {
      this.#tell({ type: 'primary-found', primary: this.#primary, term, afterMs: 0 })
    }
  }

  /** Whether the search is over for good, and the member with it. */
  #cannotGoOn(error: unknown): boolean {
    const type = ConclaveError.is(error, 'WORKSPACE_MOVED', 'UNSAFE_WORKSPACE', 'FOREIGN_WORKSPACE', 'LOCK_UNRELIABLE')
      ? 'workspace-gone'
      : ConclaveError.is(error, 'SUPERSEDED', 'VERSION_MISMATCH')
        ? 'superseded'
        : undefined
    if (type === undefined) return false
    const reason = error as ConclaveError
    this.#become({ type: 'failed', error: reason })
    this.#end({ type, error: reason }, reason)
    return true
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms)
      if (!this.#ref) timer.unref()
      this.#stop.signal.addEventListener('abort', () => (clearTimeout(timer), resolve()), { once: true })
    })
  }

  async #drain({ timeoutMs, signal }: { timeoutMs: number; signal?: AbortSignal | undefined }): Promise<void> {
    if (this.#role.name === 'closed') return
    this.#become({ type: 'close' })
    const deadline = this.now() + timeoutMs
    const isOver = (): boolean => signal?.aborted === true || this.now() >= deadline
    const reign = this.#reign
    if (reign !== undefined) {
      reign.close()
      await reign.handOver(isOver, async () => {
        await atMost(this.#stopWhilePrimary(), isOver)
        await this.#settled(isOver)
      })
    } else if (this.#link !== undefined) {
      await this.#withdrawn(isOver)
      await this.#settled(isOver)
      this.#sink?.send(this.#frame.set(KIND.GOODBYE, 0, 0, 0, 0, 0, 0))
      this.#flush.flush()
    }
    if (this.#role.name === 'closing') this.#become({ type: 'drained' })
    this.#end({ type: 'closed' }, new ConclaveError('CLOSED', 'This member was closed.'))
  }

  /** Takes every offer back. The handlers stay: calls that the switchboard passed on before it knew still come. */
  async #withdrawn(isOver: () => boolean): Promise<void> {
    if (this.#offers.size === 0) return
    for (const method of this.#offers.keys()) this.#announceWithdrawal(method)
    this.#ponged = false
    this.#sink?.send(this.#frame.set(KIND.PING, 0, 0, 0, 0, 0, 0))
    await this.#while(() => !this.#ponged, isOver)
  }

  /** Until this member's handlers, calls and publishes have ended, or the time is up. */
  #settled(isOver: () => boolean): Promise<void> {
    const busy = (): boolean => this.#dispatcher.running > 0 || this.#publisher.unacked > 0 || this.#caller.inFlight > 0
    return this.#while(busy, isOver)
  }

  async #while(waiting: () => boolean, isOver: () => boolean): Promise<void> {
    while (waiting() && this.#sink !== undefined && !isOver()) {
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }

  /** Everything that waits settles; everything held is closed. Idempotent. */
  #end(reason: CloseReason, error: ConclaveError): void {
    if (this.#ending !== undefined) return
    this.#ending = error
    if (this.#role.name !== 'closed') this.#become({ type: 'failed', error })
    this.#stop.abort(error)
    process.off('beforeExit', this.#beforeExit)
    this.#liveness?.close()
    this.#caller.close(error)
    this.#dispatcher.close(error)
    this.#publisher.close(error)
    this.#subscriber.close(error, reason.type !== 'closed')
    this.#sink = undefined
    const link = this.#link
    this.#link = undefined
    if (reason.type === 'closed') link?.end()
    this.#flush.flush()
    link?.close()
    this.#linkEnded?.()
    const reign = this.#reign
    this.#reign = undefined
    reign?.stop()
    reign?.close()
    void this.#stopWhilePrimary()
    this.#wheel.close()
    clearInterval(this.#keepAlive)
    flushed(this.#flushAtExit)
    this.#tell({ type: 'closed', reason })
    this.#listeners.clear()
    this.#resolveClosed(reason)
  }

  /** No user code runs inside: it may be called from within a call of the user's. */
  readonly #receive = (frame: Frame): void => {
    switch (frame.kind) {
      case KIND.RESPONSE:
      case KIND.FAILURE:
      case KIND.ITEM:
      case KIND.TAKEN:
        return this.#caller.receive(frame)
      case KIND.REQUEST:
      case KIND.CANCEL:
      case KIND.CREDIT:
        return this.#dispatcher.receive(frame)
      case KIND.EVENT:
        return this.#event(frame)
      case KIND.PUBLISHED:
        return this.#publisher.receive(frame)
      case KIND.SUBSCRIBED:
      case KIND.MISSED:
        return this.#subscriber.receive(frame)
      case KIND.MEMBER:
        return this.#introduced(frame)
      case KIND.GOAWAY:
        this.#goneAway = true
        this.#caller.hold(frame.number)
        if (this.#reign === undefined) this.#publisher.detach()
        return
      case KIND.TERM_END:
        return this.#subscriber.termEnded()
      case KIND.PING:
        this.#sink?.send(this.#frame.set(KIND.PONG, 0, 0, 0, 0, frame.number, 0))
        return
      case KIND.PONG:
        if (frame.number === 0) this.#ponged = true
        return
      case KIND.REFUSE:
        this.#tell({ type: 'warning', error: errorFromWire(JSON.parse(frame.text)) })
        return
      default:
    }
  }

  #event(frame: Frame): void {
    if (!this.#subscriber.wants(frame.b)) return
    const publisher = this.#members.get(frame.a) ?? this.#pastMembers.get(frame.a) ?? UNKNOWN_MEMBER
    let data: unknown
    try {
      data = decodeBody(frame)
    } catch (error) {
      this.#tell({ type: 'warning', error: warning(error) })
    }
    this.#subscriber.event(frame, publisher, data)
  }

  #introduced(frame: Frame): void {
    const { id, name, pid } = JSON.parse(frame.text) as MemberRef
    const ref = { id, name, pid }
    if (frame.c === MEMBER_STATE.HERE) {
      this.#members.set(frame.a, ref)
      this.#dispatcher.introduce(frame.a, ref)
      return
    }
    if (this.#members.delete(frame.a)) this.#dispatcher.forget(frame.a)
    this.#pastMembers.delete(frame.a)
    this.#pastMembers.set(frame.a, ref)
    if (this.#pastMembers.size <= MAX_PAST_MEMBERS) return
    for (const oldest of this.#pastMembers.keys()) {
      this.#pastMembers.delete(oldest)
      break
    }
  }

  #announceOffer(sink: FrameSink, { method, to, concurrency }: EngineOffer): void {
    sink.send(this.#frame.set(KIND.OFFER, 0, 0, concurrency, to === 'any' ? 1 : 0, 0, 0).withName(method))
  }

  #announceWithdrawal(method: string): void {
    this.#sink?.send(this.#frame.set(KIND.WITHDRAW, 0, 0, 0, 0, 0, 0).withName(method))
  }

  #ask<T>(spec: CallSpec, flags: number, read: (frame: Frame) => T): Promise<T> {
    const refused = this.#refusal('request')
    if (refused !== undefined) return Promise.reject(refused)
    return new Promise<T>((resolve, reject) => {
      if (this.#ref) {
        this.#caller.start(spec, flags, { result: (frame) => resolve(read(frame)), error: reject })
        return
      }
      const release = this.#hold()
      const reply: Reply = {
        result: (frame) => {
          resolve(read(frame))
          release()
        },
        error: (error) => {
          reject(error)
          release()
        },
      }
      this.#caller.start(spec, flags, reply)
    })
  }

  #query(what: string, query: unknown, deadline: number, signal: AbortSignal | undefined): Promise<unknown> {
    const body = encodeBody(query, 'The query')
    return this.#ask({ kind: KIND.QUERY, method: what, body, target: TO_PRIMARY, deadline, signal }, 0, decodeBody)
  }

  #become(event: RoleEvent): void {
    this.#role = transition(this.#role, event)
  }

  #refusal(verb: Verb): ConclaveError | undefined {
    const allowed = allowance(this.#role.name, verb)
    if (allowed === 'now' || allowed === 'wait') return undefined
    const {
      code = allowed,
      message = `This member is ${this.#role.name}: join again to go on.`,
      cause,
    } = this.#ending ?? {}
    return new ConclaveError(code, message, { cause, outcome: 'not-committed' })
  }

  #refuse(verb: Verb): void {
    const refused = this.#refusal(verb)
    if (refused !== undefined) throw refused
  }

  #tell(status: EngineStatus): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener(status)
      } catch (error) {
        // Its fault is not the engine's, which is in the middle of a change.
        queueMicrotask(() => {
          throw error
        })
      }
    }
  }

  /** Pending work keeps the process alive even when the member does not. @returns how to let go */
  #hold(): () => void {
    this.#holds++
    if (!this.#ref) this.#keepAlive ??= setInterval(() => {}, 2 ** 30)
    return () => {
      if (--this.#holds > 0) return
      clearInterval(this.#keepAlive)
      this.#keepAlive = undefined
    }
  }
}

/** Waits for what never rejects, until the time is up. */
async function atMost(work: Promise<void>, isOver: () => boolean): Promise<void> {
  let done = false
  const ended = work.then(() => {
    done = true
  })
  const over = async (): Promise<void> => {
    while (!done && !isOver()) await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await Promise.race([ended, over()])
}

function sendLocal(
  reign: Reign,
  port: Parameters<Reign['hub']['receive']>[0],
  frame: Frame,
  maxBodyBytes: number,
): undefined {
  const bytes = frame.bodyBytes()
  if (bytes > maxBodyBytes) {
    const text = `A body of ${bytes} bytes exceeds the limit of ${maxBodyBytes}; send it in parts, or as a stream.`
    throw new ConclaveError('TOO_LARGE', text)
  }
  reign.hub.receive(port, frame)
  return undefined
}
