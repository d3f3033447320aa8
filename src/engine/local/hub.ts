import { ConclaveError, errorToWire } from '../../errors/index.ts'
import { LAST_NUMBER } from '../../events/position.ts'
import { FAILED_BY } from '../../rpc/caller.ts'
import { FLAG, Frame, KIND } from '../../wire/frame.ts'
import type { Hello, Welcome } from '../../wire/handshake.ts'
import { MAX_BODY_BYTES } from '../../wire/limits.ts'
import type { MemberRef } from '../../wire/peers.ts'
import type { FragmentSink } from '../../wire/transfer.ts'
import type { DatabaseSnapshot, HubSnapshot, LeaveCause } from '../engine.ts'
import { admissible, succeeds } from './admission.ts'
import { CallRouter } from './call-router.ts'
import type { Directory } from './routes.ts'
import { EventRouter } from './event-router.ts'
import type { FlushScheduler } from './flush.ts'
import { GRACE_MS, MAX_LINK_BYTES, MAX_LINKS, MAX_OFFERS, MAX_WAITING_BYTES, MAX_WAITING_CALLS } from './limits.ts'
import { Grace } from './grace.ts'
import { LocalPort } from './local-port.ts'
import { MEMBER_STATE, type Port } from './port.ts'
import { peersOf, portsOf, prefixed } from './query.ts'
import { Session } from './session.ts'
import { Sessions } from './sessions.ts'

export interface HubOptions {
  readonly term: number
  /** The term this one follows, 0 for none. */
  readonly previousTerm: number
  /** `dev:ino` of the lock. */
  readonly identity: string
  readonly primary: MemberRef
  readonly version: number
  readonly minVersion: number
  /** Whether this primary serves a database. Default false. */
  readonly database?: boolean | undefined
  /** Rule A1: asked before each handshake is answered. */
  readonly holdsSeat: () => boolean
  readonly now: () => number
  readonly flush: FlushScheduler
  /** Ids of the last term's members that are expected back; `undefined` when they are not known (rule B14). */
  readonly expected: ReadonlySet<string> | undefined
  /** False: there was no term just before, so nobody is on the way. */
  readonly succeeds: boolean
  /** A member of a later version joined that may take the place, or one that brings the database that this one lacks. */
  readonly onNewer: (member: MemberRef) => void
  /** A link of this member is gone. */
  readonly onLeft?: ((member: MemberRef) => void) | undefined
  /** The events of this term are numbered to the end: a new term is due. */
  readonly onExhausted: () => void
  readonly limits: Readonly<Record<string, number | undefined>>
  /** Of the owner's own, for the snapshot. */
  readonly moreCounters?: (() => Readonly<Record<string, number>>) | undefined
  readonly databaseSnapshot?: (() => DatabaseSnapshot) | undefined
}

export interface HubCounters {
  joined: number
  refused: number
  /** Links that ended over bytes that were no frames. */
  faults: number
}

/**
 * The primary's switchboard: members and what they send each other. It knows no user objects and no sockets: ports take
 * frames, and hand in what they receive.
 */
export class Hub {
  readonly term: number
  readonly calls: CallRouter
  readonly events: EventRouter
  readonly counters: HubCounters = { joined: 0, refused: 0, faults: 0 }
  readonly #options: HubOptions
  readonly #ports = new Map<number, Port>()
  readonly #byId = new Map<string, Port>()
  readonly #sessions: Sessions
  readonly #expected: Set<string> | undefined
  readonly #grace: Grace
  readonly #frame = new Frame()
  #queries: { readonly port: Port; readonly frame: Frame }[] = []
  #queryBytes = 0
  #local: LocalPort | undefined
  #nextSlot = 1
  #draining = false
  /** Nothing new is taken from the primary's own member either. */
  #localDone = false

  constructor(options: HubOptions) {
    this.#options = options
    this.term = options.term
    const { limits } = options
    this.#expected = options.expected === undefined ? undefined : new Set(options.expected)
    this.#grace = new Grace(() => this.#settled())
    this.beginGrace()
    this.#sessions = new Sessions({
      now: options.now,
      isHere: (id) => this.#byId.has(id),
      expire: (session) => this.events.expire(session),
    })
    this.calls = new CallRouter(this.#directory(), {
      maxLinkBytes: limits['maxLinkBytes'],
      maxWaitingCalls: limits['maxWaitingCalls'],
    })
    this.events = new EventRouter({
      term: options.term,
      previousTerm: options.previousTerm,
      maxHubBytes: limits['maxHubBytes'],
      maxBodyBytes: limits['maxBodyBytes'],
      ringMaxCount: limits['ringMaxCount'],
      ringMaxBytes: limits['ringMaxBytes'],
      maxQueued: limits['maxQueued'],
      isHere: (slot) => this.#ports.has(slot),
    })
  }

  get linkCount(): number {
    return this.#ports.size
  }

  now(): number {
    return this.#options.now()
  }

  get draining(): boolean {
    return this.#draining
  }

  /** Who is behind a slot: a member, or a line peer. */
  refOf(slot: number): MemberRef | undefined {
    return this.#ports.get(slot)?.ref
  }

  /** Members of the last term are waited for from now on: once more when they can connect. */
  beginGrace(): void {
    const { succeeds, limits } = this.#options
    if (succeeds && this.#expected?.size !== 0) this.#grace.begin(limits['graceMs'] ?? GRACE_MS)
  }

  /** The primary's own member. */
  attachLocal(deliver: (frame: Frame) => void): LocalPort {
    const { primary } = this.#options
    const port = new LocalPort(this.#nextSlot++, primary, this.#sessions.of(primary.id), deliver, {
      flush: this.#options.flush,
      links: () => this.links(),
    })
    this.#local = port
    this.#add(port)
    this.events.announce(port, '$primary.changed', primary)
    return port
  }

  /**
   * Whether a hello is accepted. @returns the protocol version
   * @throws `LOCK_LOST`, `STALE_TERM`, `VERSION_MISMATCH`, `WORKSPACE_MOVED`, `SUPERSEDED`, `OVERLOADED`, `PROTOCOL`
   */
  judge(hello: Hello): number {
    if (!this.#options.holdsSeat()) throw new ConclaveError('LOCK_LOST', 'This process is no longer the primary.')
    if (this.#draining) throw new ConclaveError('PRIMARY_LOST', 'This primary is closing: look for its successor.')
    const version = admissible(hello, this.#options)
    if (!this.#byId.has(hello.id)) this.#checkRoom()
    return version
  }

  /**
   * Takes an accepted member in. The port made by `create` gets WELCOME and who is here; an older link of the same
   * member is closed (rule C2).
   */
  admit(hello: Hello, protocol: number, create: (slot: number, ref: MemberRef, session: Session) => Port): Port {
    const older = this.#byId.get(hello.id)
    if (older !== undefined) this.remove(older, 'replaced')
    const session = this.#sessions.of(hello.id)
    const ref = { id: hello.id, name: hello.name, pid: hello.pid }
    const port = create(this.#nextSlot++, ref, session)
    this.counters.joined++
    const welcome: Welcome = {
      protocol,
      term: this.term,
      slot: port.slot,
      primary: this.#options.primary,
      version: this.#options.version,
      lastPublish: session.lastPublish,
      limits: { maxBodyBytes: this.#options.limits['maxBodyBytes'] ?? MAX_BODY_BYTES },
    }
    port.send(new Frame().set(KIND.WELCOME, 0, 0, 0, 0, 0, 0).withBody(JSON.stringify(welcome)))
    for (const other of this.#ports.values()) this.#introduce(other, port)
    this.#add(port, older !== undefined)
    if (succeeds(hello, this.#options)) this.#options.onNewer(ref)
    return port
  }

  /** A line peer: it calls and subscribes, and is no member. @throws `LOCK_LOST`, `OVERLOADED` */
  admitGuest(create: (slot: number, session: Session) => Port, id: string): Port {
    if (!this.#options.holdsSeat()) throw new ConclaveError('LOCK_LOST', 'This process is no longer the primary.')
    this.#checkRoom()
    const port = create(this.#nextSlot++, new Session(id))
    this.#ports.set(port.slot, port)
    for (const other of this.#byId.values()) {
      this.#introduce(port, other)
      this.#introduce(other, port)
    }
    return port
  }

  #checkRoom(): void {
    if (this.#ports.size < (this.#options.limits['maxLinks'] ?? MAX_LINKS)) return
    throw new ConclaveError('OVERLOADED', `This primary has ${this.#ports.size} links, which is its limit (maxLinks).`)
  }

  /** The link of a port ended. Idempotent. */
  remove(port: Port, cause: LeaveCause | 'replaced'): void {
    if (port.closed) return
    port.closed = true
    this.#ports.delete(port.slot)
    const member = this.#byId.get(port.ref.id) === port
    if (member) this.#byId.delete(port.ref.id)
    this.calls.forget(port)
    this.#options.onLeft?.(port.ref)
    this.events.detach(port, port.session)
    if (port.kind === 'lines' || cause === 'closed') this.#sessions.forget(port.session)
    else this.#sessions.lost(port.session, this.#byId.size)
    for (const other of this.#byId.values()) this.#introduce(port, other, true)
    if (cause === 'replaced') port.close()
    else if (member && !this.#draining && this.#local !== undefined) {
      this.events.announce(this.#local, '$member.left', { ...port.ref, cause })
    }
  }

  /**
   * A whole frame of a port.
   * @throws `PROTOCOL` for a kind that members don't send: the link must close
   */
  receive(port: Port, frame: Frame): void {
    if (port.closed) return
    switch (frame.kind) {
      case KIND.REQUEST:
        if (this.#refuses(port, frame) || !port.arrived(frame.number)) return
        port.session.lastCall = Math.max(port.session.lastCall, frame.number)
        return this.calls.request(port, frame)
      case KIND.RESPONSE:
      case KIND.FAILURE:
      case KIND.ITEM:
        return this.calls.reply(port, frame)
      case KIND.CANCEL:
        if (port.arriving.has(frame.number)) port.arriving.set(frame.number, false)
        return this.calls.cancel(port, frame)
      case KIND.CREDIT:
        return this.calls.credit(port, frame)
      case KIND.PUBLISH:
        return this.#publish(port, frame)
      case KIND.SUBSCRIBE:
        if (this.#reads(port)) this.events.subscribe(port, frame)
        return
      case KIND.UNSUBSCRIBE:
        return this.events.unsubscribe(port, frame.b)
      case KIND.OFFER:
        return this.#offer(port, frame)
      case KIND.WITHDRAW:
        return this.calls.withdraw(port, frame.name)
      case KIND.QUERY:
        return this.#query(port, frame)
      case KIND.PING:
        this.#isBack(port)
        this.#answer(port, this.#frame.set(KIND.PONG, 0, 0, 0, 0, frame.number, 0))
        return
      case KIND.PONG:
        return
      case KIND.GOODBYE:
        this.remove(port, 'closed')
        port.end()
        return
      default:
        throw new ConclaveError('PROTOCOL', `A member does not send frames of kind 0x${frame.kind.toString(16)}.`)
    }
  }

  /** The first fragment of a long body. @returns `undefined` where it has to be joined */
  receivePart(port: Port, frame: Frame, grant: (bytes: number) => void): FragmentSink | undefined {
    if (port.closed || (frame.kind === KIND.REQUEST && this.#refuses(port, frame))) {
      return { fragment: (_bytes, start, end) => grant(end - start) }
    }
    if (frame.kind === KIND.REQUEST) {
      const { number } = frame
      const sink = (frame.flags & FLAG.NOTIFY) === 0 ? this.calls.relay(port, frame, grant) : undefined
      // Taken from its first fragment on: shorter requests of higher numbers overtake it.
      port.session.lastCall = Math.max(port.session.lastCall, number)
      if (sink === undefined) port.arriving.set(number, true)
      return sink
    }
    if (frame.kind === KIND.RESPONSE || frame.kind === KIND.ITEM) return this.calls.relayReply(port, frame, grant)
    return undefined
  }

  /** The link of a port takes bytes again. */
  writable(port: Port): void {
    this.events.pump(port)
  }

  /**
   * Nothing new is taken from now on: each member is told the last number of its that was, and repeats the rest at the
   * next primary (rule A13). The primary's own goes on until `goAwayLocal`: its handlers finish what was taken.
   */
  goAway(): void {
    if (this.#draining) return
    this.#draining = true
    for (const port of this.#byId.values()) if (port !== this.#local) this.#sendAway(port)
    this.calls.refuseAllWaiting()
    this.#answerQueries()
  }

  /** Its handlers have ended. */
  goAwayLocal(): void {
    this.#localDone = true
    if (this.#local !== undefined) this.#sendAway(this.#local)
  }

  /** Whether everything that was taken is settled and delivered. What its caller gave up is settled. */
  get drained(): boolean {
    for (const port of this.#ports.values()) {
      for (const wanted of port.arriving.values()) if (wanted) return false
      if (port.backlog.size > 0 || port.sending) return false
      for (const record of port.calls.values()) if (!record.cancelled) return false
    }
    return true
  }

  /** Tells each member to which nothing more is due that it has had all events of this term. */
  endTerm(): void {
    this.#local?.acknowledgeNow()
    for (const port of this.#byId.values()) {
      if (!this.events.finish(port)) continue
      port.send(this.#frame.set(KIND.TERM_END, 0, 0, 0, 0, this.events.lastNumber, 0))
    }
  }

  /** The remaining links; the local one is not among them. */
  links(): Port[] {
    return [...this.#ports.values()].filter((port) => port !== this.#local)
  }

  /** Stops the timers and hears the primary's own member no more; links are the owner's to close. */
  close(): void {
    this.#draining = true
    this.#local?.end()
    this.#grace.stop()
    this.#sessions.close()
  }

  snapshot(): HubSnapshot {
    const { members, links, events } = portsOf(this.#ports.values(), this.#local, this.events)
    return {
      term: this.term,
      primary: this.#options.primary,
      members,
      links,
      queues: {
        events: { count: events, bytes: this.events.waitingBytes },
        calls: { count: this.calls.waitingCount, bytes: this.calls.waitingBytes },
      },
      drops: this.events.counters.dropped,
      counters: {
        ...prefixed('calls', this.calls.counters),
        ...prefixed('events', this.events.counters),
        ...prefixed('links', this.counters),
        ...this.#options.moreCounters?.(),
      },
      database: this.#options.databaseSnapshot?.(),
    }
  }

  #add(port: Port, again = false): void {
    this.#ports.set(port.slot, port)
    this.#byId.set(port.ref.id, port)
    for (const other of this.#byId.values()) this.#introduce(port, other)
    if (this.#local !== undefined && !again) this.events.announce(this.#local, '$member.joined', port.ref)
  }

  /** A member pings behind its offers: what it has is known from then on (rule B14). */
  #isBack(port: Port): void {
    if (this.#expected?.delete(port.ref.id) === true && this.#expected.size === 0) this.#grace.end()
  }

  /** After the goodbye only what was counted as taken is taken. */
  #refuses(port: Port, frame: Frame): boolean {
    return this.#closedTo(port) && frame.number > port.session.lastCall
  }

  #closedTo(port: Port): boolean {
    return port === this.#local ? this.#localDone : this.#draining
  }

  #sendAway(port: Port): void {
    port.send(this.#frame.set(KIND.GOAWAY, 0, 0, 0, 0, port.session.lastCall, 0))
  }

  #answer(port: Port, frame: Frame): void {
    if (this.#reads(port)) port.send(frame)
  }

  /** A member that asks and does not read the answers is cut off. */
  #reads(port: Port): boolean {
    if (!port.isStuck(this.#options.limits['maxLinkBytes'] ?? MAX_LINK_BYTES)) return true
    port.cutOff()
    return false
  }

  /** Tells `to` who is behind a slot, or that nobody is any more. */
  #introduce(port: Port, to: Port, left = false): void {
    const guest = port.kind === 'lines' ? 1 : 0
    this.#answer(
      to,
      this.#frame
        .set(KIND.MEMBER, 0, port.slot, guest, left ? MEMBER_STATE.GONE : MEMBER_STATE.HERE, 0, 0)
        .withBody(JSON.stringify({ ...port.ref, joined: port.joined })),
    )
  }

  #publish(port: Port, frame: Frame): void {
    if (this.#closedTo(port)) return
    const number = frame.number
    const event = this.events.publish(port, frame)
    const reads = this.#reads(port)
    if (event === undefined) return
    if (reads) port.acknowledge(number, event)
    if (event >= LAST_NUMBER - 1) this.#options.onExhausted()
  }

  #offer(port: Port, frame: Frame): void {
    const method = frame.name
    if (port.offers.size >= MAX_OFFERS && !port.offers.has(method)) {
      throw new ConclaveError('OVERLOADED', `A member may offer ${MAX_OFFERS} methods.`)
    }
    this.calls.offer(port, {
      method,
      to: frame.c === 1 ? 'any' : 'primary',
      concurrency: frame.b === 0 ? Infinity : frame.b,
      running: 0,
    })
  }

  #query(port: Port, frame: Frame): void {
    const inspects = frame.name === 'inspect'
    const waits = !inspects && !this.#draining && this.#grace.lasts
    const bytes = frame.bodyBytes()
    if (waits && this.#queries.length < MAX_WAITING_CALLS && this.#queryBytes + bytes <= MAX_WAITING_BYTES) {
      this.#queries.push({ port, frame: frame.clone() })
      this.#queryBytes += bytes
      return
    }
    const answer = new Frame().set(KIND.RESPONSE, 0, 0, 0, 0, frame.number, 0)
    try {
      if (this.#draining && !inspects) {
        throw new ConclaveError('PRIMARY_LOST', 'This primary is closing: its successor knows who is here.', {
          outcome: 'not-committed',
        })
      }
      const result = inspects ? this.snapshot() : peersOf(this.#directory(), this.calls, port, frame)
      answer.withBody(JSON.stringify(result))
    } catch (error) {
      answer.kind = KIND.FAILURE
      answer.c = FAILED_BY.SWITCHBOARD
      answer.withBody(JSON.stringify(errorToWire(error)))
    }
    this.#answer(port, answer)
  }

  #answerQueries(): void {
    this.#queryBytes = 0
    for (const { port, frame } of this.#queries.splice(0)) if (!port.closed) this.#query(port, frame)
  }

  #settled(): void {
    this.calls.retryWaiting()
    this.#answerQueries()
  }

  #directory(): Directory {
    return {
      primary: () => this.#local!,
      bySlot: (slot) => this.#ports.get(slot),
      byId: (id) => this.#byId.get(id),
      byName: (name) => [...this.#byId.values()].filter((port) => port.ref.name === name),
      members: () => this.#byId.values(),
      now: this.#options.now,
      settling: () => this.#grace.lasts,
    }
  }
}
