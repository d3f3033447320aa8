import { ConclaveError, errorToWire } from '../../errors/index.ts'
import { numberOf, termOf } from '../../events/position.ts'
import { SubscriptionQueue } from '../../events/queue.ts'
import { ReplayRing } from '../../events/ring.ts'
import { Slab } from '../../events/slab.ts'
import type { SubscribeBody, SubscribedBody } from '../../events/subscriber.ts'
import { checkPattern, checkTopic, TopicMatcher } from '../../events/topics.ts'
import { FLAG, Frame, KIND } from '../../wire/frame.ts'
import { MAX_BODY_BYTES, MAX_FRAGMENT_BYTES } from '../../wire/limits.ts'
import { NameCache } from '../../wire/names.ts'
import { CatchUp, matching } from './catch-up.ts'
import { leaveSlab, type Entry } from './event-entry.ts'
import type { EventCounters, EventRouterOptions, HubSubscription } from './event-types.ts'
import { sendFromPlace } from './long-event.ts'
import { CATCH_UP_STEP, MAX_HUB_BYTES, MAX_LINK_SUBSCRIPTIONS } from './limits.ts'
import { MEMBER_STATE, type Port } from './port.ts'
import type { Session } from './session.ts'
import { readSubscribe } from './subscribe-body.ts'

const ENTRY_OVERHEAD_BYTES = 128
/** What of a PUBLISH goes into its EVENTs. */
const KEPT_FLAGS = FLAG.RAW | FLAG.SENSITIVE

/** The event bus of one term: one order for all, a bounded replay, a queue of its own for each subscription that lags. */
export class EventRouter {
  readonly counters: EventCounters = { published: 0, delivered: 0, dropped: 0, refused: 0, repeats: 0 }
  readonly #options: EventRouterOptions
  readonly #matcher = new TopicMatcher<HubSubscription>()
  readonly #ring: ReplayRing<Entry>
  readonly #slab = new Slab()
  readonly #topics = new NameCache(checkTopic)
  readonly #frame = new Frame()
  readonly #lagging = new Set<HubSubscription>()
  readonly #maxHubBytes: number
  #number = 0
  #waitingBytes = 0
  /** Lost right before the entry that a queue handed over last. */
  #missed = 0
  #atLeast = 0

  constructor(options: EventRouterOptions) {
    this.#options = options
    this.#ring = new ReplayRing({
      maxCount: options.ringMaxCount,
      maxBytes: options.ringMaxBytes,
      onGone: (entry) => {
        entry.held = false
        if (entry.waiting > 0) leaveSlab(entry)
      },
    })
    this.#maxHubBytes = options.maxHubBytes ?? MAX_HUB_BYTES
  }

  /** Number of the last event of this term. */
  get lastNumber(): number {
    return this.#number
  }

  /** Bytes of events that wait, each counted once. */
  get waitingBytes(): number {
    return this.#waitingBytes
  }

  get subscriptions(): number {
    return this.#matcher.size
  }

  /** @returns the event's number; undefined when it was refused, and the publisher was told */
  publish(port: Port, frame: Frame): number | undefined {
    const { session } = port
    if (frame.number <= session.lastPublish) {
      this.counters.repeats++
      return session.eventOf(frame.number) ?? 0
    }
    let topic: string
    try {
      topic = this.#topicOf(frame)
      this.#checkBody(frame)
    } catch (error) {
      this.counters.refused++
      const body = JSON.stringify(errorToWire(error))
      port.send(new Frame().set(KIND.PUBLISHED, 0, 0, 1, 0, frame.number, 0).withBody(body))
      return undefined
    }
    const { number } = frame
    frame.kind = KIND.EVENT
    frame.flags &= KEPT_FLAGS
    // First: should a subscriber's port fail, its publisher must not repeat what others have.
    session.acknowledged(number, this.#number + 1)
    return this.#append(topic, frame, port)
  }

  /** An event of the system's own. */
  announce(publisher: Pick<Port, 'slot' | 'ref'>, topic: string, data: unknown): void {
    checkTopic(topic, 'system')
    const frame = this.#frame.set(KIND.EVENT, 0, 0, 0, 0, 0, Date.now()).withName(topic)
    this.#append(topic, frame.withBody(JSON.stringify(data)), publisher)
  }

  /** Answers SUBSCRIBED, then what is replayed. A refusal is answered as well. */
  subscribe(port: Port, frame: Frame): void {
    const id = frame.b
    try {
      const pattern = frame.name
      checkPattern(pattern)
      const body = readSubscribe(frame)
      if (port.subscriptions.has(id)) {
        throw new ConclaveError('INVALID_REQUEST', `Subscription ${id} of this link exists already.`)
      }
      if (port.subscriptions.size >= MAX_LINK_SUBSCRIPTIONS) {
        throw new ConclaveError('OVERLOADED', `One link may have ${MAX_LINK_SUBSCRIPTIONS} subscriptions: close some.`)
      }
      this.#begin(port, id, pattern, body)
    } catch (error) {
      this.#answer(port, id, { after: this.#number, missed: 0, exact: true }, error)
    }
  }

  unsubscribe(port: Port, id: number): void {
    const subscription = port.subscriptions.get(id)
    if (subscription === undefined) return
    port.subscriptions.delete(id)
    this.#remove(subscription)
  }

  /** The link takes bytes again. */
  pump(port: Port): void {
    for (const subscription of port.backlog) {
      if (port.congested) return
      this.#pumpOne(subscription, port)
    }
  }

  /** The link is gone; its subscriptions go on counting, in the session, until `expire`. */
  detach(port: Port, session: Session): void {
    for (const subscription of port.subscriptions.values()) {
      this.#clearQueue(subscription)
      subscription.port = undefined
      subscription.catchUp = undefined
      subscription.long = undefined
      session.detached.set(subscription.id, subscription)
    }
    // Of earlier links there are those that the last one did not take up.
    for (const [id, oldest] of session.detached) {
      if (session.detached.size <= MAX_LINK_SUBSCRIPTIONS) break
      session.detached.delete(id)
      this.#remove(oldest)
    }
    port.subscriptions.clear()
    port.backlog.clear()
  }

  /** Nobody comes back for these. */
  expire(session: Session): void {
    for (const subscription of session.detached.values()) this.#remove(subscription)
    session.detached.clear()
  }

  /**
   * The term is over. A link to which nothing more is due has had all of it, or is told how much it has not.
   * @returns false when something is still due
   */
  finish(port: Port): boolean {
    if (port.backlog.size > 0) return false
    for (const subscription of port.subscriptions.values()) {
      const { count, atLeast } = subscription.queue?.unreported ?? { count: 0, atLeast: 0 }
      if (count > 0) this.#tellMissed(subscription, port, count, atLeast, this.#number)
    }
    return true
  }

  /** Events that wait for a link, and their bytes. */
  backlogOf(port: Port): { events: number; bytes: number; dropped: number } {
    let events = 0
    let bytes = 0
    let dropped = 0
    for (const { queue } of port.subscriptions.values()) {
      events += queue?.size ?? 0
      bytes += queue?.bytes ?? 0
      dropped += queue?.dropped ?? 0
    }
    return { events, bytes, dropped }
  }

  #topicOf({ bytes, nameStart, nameEnd, nameText }: Frame): string {
    if (nameText === undefined) return this.#topics.read(bytes, nameStart, nameEnd)
    checkTopic(nameText)
    return nameText
  }

  /** What no member may send, no subscriber could be sent. @throws `TOO_LARGE` */
  #checkBody(frame: Frame): void {
    const { maxBodyBytes = MAX_BODY_BYTES } = this.#options
    const { bodyText, bodyStart, bodyEnd } = frame
    const most = bodyText === undefined ? bodyEnd - bodyStart : bodyText.length * 3
    if (most <= maxBodyBytes || frame.bodyBytes() <= maxBodyBytes) return
    const text = `The data of an event may have ${maxBodyBytes} bytes, and this has ${frame.bodyBytes()}.`
    throw new ConclaveError('TOO_LARGE', text)
  }

  /** @param frame EVENT, with what its publisher said; the rest is filled in here */
  #append(topic: string, frame: Frame, publisher: Pick<Port, 'slot' | 'ref'>): number {
    const seq = ++this.#number
    const subscriptions = this.#matcher.match(topic)
    frame.a = publisher.slot
    // Programs number their subscriptions alike: the first one's id often is everybody's.
    frame.b = subscriptions[0]?.id ?? 0
    frame.c = seq
    frame.transfer = 0
    const slab = this.#slab
    slab.put(frame)
    const bodyBytes = frame.bodyBytes()
    const entry: Entry = {
      seq,
      bytes: bodyBytes + ENTRY_OVERHEAD_BYTES,
      topic,
      chunk: slab.chunk,
      start: slab.start,
      end: slab.end,
      b: frame.b,
      bodyBytes,
      held: true,
      flags: frame.flags,
      publisherSlot: publisher.slot,
      publisher: publisher.ref,
      number: frame.number,
      time: frame.time,
      waiting: 0,
    }
    this.counters.published++
    this.#ring.push(entry)
    for (const subscription of subscriptions) this.#offer(subscription, entry)
    return seq
  }

  #offer(subscription: HubSubscription, entry: Entry): void {
    subscription.matched++
    const { port, queue, catchUp } = subscription
    if (port === undefined) return
    const full = port.congested || subscription.long !== undefined
    const empty = queue === undefined || queue.size + queue.unreported.atLeast === 0
    // Only the turns of the loop hold it up, not its reader: it waits in the ring with the others.
    if (catchUp !== undefined && catchUp.left > 0 && !full && empty && entry.held) {
      catchUp.extend(entry)
      return
    }
    const blocked = full || catchUp !== undefined
    // A queue that was emptied over budget still has a loss to tell.
    if (blocked || !empty) {
      this.#enqueue(subscription, port, entry)
      if (!blocked && subscription.port === port) this.#pumpOne(subscription, port)
    } else this.#send(subscription, port, entry)
  }

  #send(subscription: HubSubscription, port: Port, entry: Entry): void {
    if (!this.#options.isHere(entry.publisherSlot)) this.#name(port, entry)
    this.counters.delivered++
    const long = entry.bodyBytes > MAX_FRAGMENT_BYTES
    if (!long && port.sendEncoded(entry, subscription.id)) return
    const frame = this.#frame
    frame.set(KIND.EVENT, entry.flags, entry.publisherSlot, subscription.id, entry.seq, entry.number, entry.time)
    frame.nameText = entry.topic
    frame.bytes = entry.chunk
    frame.bodyStart = entry.end - entry.bodyBytes
    frame.bodyEnd = entry.end
    const transfer = long && port.takesParts ? sendFromPlace(port, frame) : port.send(frame)
    if (transfer === undefined || transfer.ended) return
    subscription.long = transfer
    // It is not delivered before its last fragment is.
    port.backlog.add(subscription)
    transfer.onEnd = () => {
      if (subscription.long !== transfer) return
      subscription.long = undefined
      if (subscription.port === port) this.#pumpOne(subscription, port)
    }
  }

  /** Says who published what comes next: its member has left, perhaps before this link began. */
  #name(port: Port, { publisherSlot, publisher }: Entry): void {
    if (port.named === publisherSlot) return
    port.named = publisherSlot
    port.send(
      this.#frame
        .set(KIND.MEMBER, 0, publisherSlot, 0, MEMBER_STATE.PAST, 0, 0)
        .withBody(JSON.stringify({ ...publisher, joined: '' })),
    )
  }

  #enqueue(subscription: HubSubscription, port: Port, entry: Entry): void {
    subscription.queue ??= new SubscriptionQueue<Entry, Entry>({
      maxQueued: subscription.maxQueued ?? this.#options.maxQueued,
      overflow: subscription.overflow,
      deliver: (next, missed, atLeast) => {
        this.#missed = missed
        this.#atLeast = atLeast
        this.#unshare(next)
        return next
      },
      onDrop: (dropped) => this.#unshare(dropped),
    })
    this.#share(entry)
    this.counters.dropped += subscription.queue.push(entry, entry.bytes)
    if (subscription.queue.ended) {
      this.#disconnect(subscription, port)
      return
    }
    port.backlog.add(subscription)
    this.#lagging.add(subscription)
    while (this.#waitingBytes > this.#maxHubBytes) this.#shed()
  }

  /** Over budget the longest queue loses first (rule B17). */
  #shed(): void {
    let longest: HubSubscription | undefined
    for (const subscription of this.#lagging) {
      if ((subscription.queue?.bytes ?? 0) > (longest?.queue?.bytes ?? 0)) longest = subscription
    }
    if (longest?.queue === undefined) {
      this.#waitingBytes = 0
      return
    }
    if (longest.overflow === 'disconnect' && longest.port !== undefined) {
      this.#disconnect(longest, longest.port)
      return
    }
    longest.queue.drop()
    this.counters.dropped++
  }

  #share(entry: Entry): void {
    if (entry.waiting++ > 0) return
    this.#waitingBytes += entry.bytes
    if (!entry.held) leaveSlab(entry)
  }

  #unshare(entry: Entry): void {
    if (--entry.waiting === 0) this.#waitingBytes -= entry.bytes
  }

  #pumpOne(subscription: HubSubscription, port: Port): void {
    const { catchUp } = subscription
    if (catchUp !== undefined) {
      if (!this.#catchUp(subscription, catchUp, port)) return
      subscription.catchUp = undefined
    }
    // It may have begun meanwhile: a logger that is told of a loss may publish.
    const { queue } = subscription
    while (queue !== undefined && queue.size > 0 && !port.congested && subscription.long === undefined) {
      const entry = queue.shift()!
      if (this.#missed > 0) this.#tellMissed(subscription, port, this.#missed, this.#atLeast, entry.seq - 1)
      this.#send(subscription, port, entry)
    }
    if (subscription.long !== undefined || (queue !== undefined && queue.size > 0)) return
    port.backlog.delete(subscription)
    this.#lagging.delete(subscription)
  }

  /** @returns whether it is over */
  #catchUp(subscription: HubSubscription, catchUp: CatchUp, port: Port): boolean {
    for (let n = 0; catchUp.left > 0; n++) {
      if (port.congested || subscription.long !== undefined) return false
      if (n === CATCH_UP_STEP) {
        this.#goOnLater(subscription, catchUp, port)
        return false
      }
      const lost = catchUp.lost()
      const entry = catchUp.next()
      if (lost > 0) {
        this.counters.dropped += lost
        this.#tellMissed(subscription, port, lost, lost, (entry?.seq ?? catchUp.through + 1) - 1)
      }
      if (entry !== undefined) this.#send(subscription, port, entry)
    }
    return true
  }

  #goOnLater(subscription: HubSubscription, catchUp: CatchUp, port: Port): void {
    if (catchUp.scheduled) return
    catchUp.scheduled = true
    setImmediate(() => {
      catchUp.scheduled = false
      if (subscription.catchUp === catchUp && subscription.port === port) this.#pumpOne(subscription, port)
    })
  }

  /** @param through number of the last event that is accounted for with this */
  #tellMissed(subscription: HubSubscription, port: Port, missed: number, atLeast: number, through: number): void {
    const flags = Number.isFinite(missed) ? 0 : FLAG.INEXACT
    port.send(this.#frame.set(KIND.MISSED, flags, 0, subscription.id, through, atLeast, 0))
  }

  #disconnect(subscription: HubSubscription, port: Port): void {
    const text = `Too many events waited for this subscription to ${subscription.pattern}, so it was ended as it asked: read faster, or raise maxQueued.`
    this.#answer(port, subscription.id, { after: 0, missed: 0, exact: true }, new ConclaveError('OVERLOADED', text))
    port.subscriptions.delete(subscription.id)
    this.#remove(subscription)
  }

  #remove(subscription: HubSubscription): void {
    this.#matcher.remove(subscription.pattern, subscription)
    this.#clearQueue(subscription)
    subscription.port?.backlog.delete(subscription)
    subscription.port = undefined
    subscription.catchUp = undefined
  }

  #clearQueue(subscription: HubSubscription): void {
    this.#lagging.delete(subscription)
    const { queue } = subscription
    if (queue === undefined) return
    while (queue.size > 0) queue.shift()
    subscription.queue = undefined
  }

  #begin(port: Port, id: number, pattern: string, body: SubscribeBody): void {
    const earlier = port.session.detached.get(id)
    port.session.detached.delete(id)
    const matches = matching(pattern)
    const { entries, complete } = this.#replay(body, matches)
    const start = (entries[0]?.seq ?? this.#number + 1) - 1
    const known = body.seen ?? 0
    let missed = 0
    let exact = complete
    if (earlier !== undefined && earlier.pattern === pattern && body.seen !== undefined) {
      missed = Math.max(0, earlier.matched - known - entries.length)
      exact = true
    }
    if (earlier !== undefined) this.#remove(earlier)
    const subscription: HubSubscription = {
      id,
      pattern,
      maxQueued: body.maxQueued,
      overflow: body.overflow,
      port,
      matched: known + missed + entries.length,
      queue: undefined,
      catchUp: undefined,
      long: undefined,
    }
    port.subscriptions.set(id, subscription)
    this.#matcher.add(pattern, subscription)
    this.#answer(port, id, { after: start, missed, exact })
    if (entries.length === 0) return
    subscription.catchUp = new CatchUp(this.#ring, matches, start, this.#number, entries.length)
    port.backlog.add(subscription)
    this.#pumpOne(subscription, port)
  }

  #replay(body: SubscribeBody, matches: (entry: Entry) => boolean): { entries: readonly Entry[]; complete: boolean } {
    const { from } = body
    if (from === 'now') return { entries: [], complete: true }
    if (from === 'earliest') return { entries: this.#ring.after(0).entries.filter(matches), complete: true }
    if ('last' in from) return { entries: this.#ring.last(from.last, matches).entries, complete: true }
    const sameTerm = termOf(from.after) === this.#options.term
    const { entries, complete } = this.#ring.after(sameTerm ? numberOf(from.after) : 0)
    const whole = sameTerm || (body.whole === true && termOf(from.after) === this.#options.previousTerm)
    return { entries: entries.filter(matches), complete: complete && whole }
  }

  #answer(port: Port, id: number, body: SubscribedBody, error?: unknown): void {
    const answer = error === undefined ? body : { ...body, error: errorToWire(error) }
    port.send(this.#frame.set(KIND.SUBSCRIBED, 0, 0, id, 0, 0, 0).withBody(JSON.stringify(answer)))
  }
}
