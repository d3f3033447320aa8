/**
 * What several processes did and saw, checked at the end: every acknowledged item once and only once, nothing that
 * nobody sent, one order, and every loss announced where it happened. Items are strings of the test's own choice.
 */

export type Loss = 'not-committed' | 'unknown'

export interface Seen {
  readonly item: string
  readonly seq: number
  readonly term?: number
  /** Lost right before this one, as the subscriber was told. `null` stands for Infinity, as JSON writes it. */
  readonly missed?: number | null
}

export interface ObserverOptions {
  /** It was subscribed before the first item was sent and read until after the last one. */
  readonly complete?: boolean
  /** What its pattern asks for; default: everything. */
  readonly wants?: (item: string) => boolean
}

/** What a program says (`say({ did: … })`), for `record`. */
export type Did =
  | { readonly did: 'invoked'; readonly item: string }
  | { readonly did: 'acknowledged'; readonly item: string; readonly seq?: number }
  | { readonly did: 'refused'; readonly item: string; readonly outcome: Loss }
  | ({ readonly did: 'seen' } & Seen)

interface Sent {
  readonly process: string
  /** Its place among what this process sent. */
  readonly place: number
  acknowledged: boolean
  seq: number | undefined
  refused: Loss | undefined
}

interface Observer {
  readonly events: Seen[]
  options: ObserverOptions
}

const MOST_SHOWN = 20

/** Public seqs hold the term above these (docs/wire.md); what counts from 1 is of term 0. */
const NUMBERS_A_TERM = 2 ** 32

export class History {
  readonly #sent = new Map<string, Sent>()
  readonly #places = new Map<string, number>()
  readonly #observers = new Map<string, Observer>()
  readonly #mistakes: string[] = []
  #present: string[] | undefined

  /** Said before it is sent. */
  invoked(process: string, item: string): void {
    if (this.#sent.has(item)) return this.#complain(`${item} was sent twice, by ${process} the second time`)
    const place = this.#places.get(process) ?? 0
    this.#places.set(process, place + 1)
    this.#sent.set(item, { process, place, acknowledged: false, seq: undefined, refused: undefined })
  }

  acknowledged(process: string, item: string, seq?: number): void {
    const sent = this.#settled(process, item, 'acknowledged')
    if (sent === undefined) return
    sent.acknowledged = true
    sent.seq = seq
  }

  refused(process: string, item: string, outcome: Loss): void {
    const sent = this.#settled(process, item, `refused as ${outcome}`)
    if (sent !== undefined) sent.refused = outcome
  }

  observer(name: string, options: ObserverOptions = {}): void {
    this.#observerOf(name).options = options
  }

  seen(observer: string, event: Seen): void {
    this.#observerOf(observer).events.push(event)
  }

  /** The final state: what is in the database, or what the subscriber of a durable topic was given in all. */
  present(items: Iterable<string>): void {
    this.#present = [...items]
  }

  record(process: string, what: Did): void {
    switch (what.did) {
      case 'invoked':
        return this.invoked(process, what.item)
      case 'acknowledged':
        return this.acknowledged(process, what.item, what.seq)
      case 'refused':
        return this.refused(process, what.item, what.outcome)
      case 'seen':
        return this.seen(process, what)
    }
  }

  /** Counts, for a test that wants to be sure something happened. */
  get counts(): { readonly sent: number; readonly acknowledged: number; readonly unknown: number } {
    const all = [...this.#sent.values()]
    return {
      sent: all.length,
      acknowledged: all.filter((sent) => sent.acknowledged).length,
      unknown: all.filter(isOpen).length,
    }
  }

  complaints(): string[] {
    return [
      ...this.#mistakes,
      ...(this.#present === undefined ? [] : this.#checkPresent(this.#present)),
      ...[...this.#observers].flatMap(([name, observer]) => this.#checkObserver(name, observer)),
      ...this.#checkOneOrder(),
    ]
  }

  verify(): void {
    const complaints = this.complaints()
    if (complaints.length === 0) return
    const rest = complaints.length > MOST_SHOWN ? [`and ${complaints.length - MOST_SHOWN} more`] : []
    throw new Error(['The history is wrong:', ...complaints.slice(0, MOST_SHOWN), ...rest].join('\n  '))
  }

  #checkPresent(present: readonly string[]): string[] {
    const complaints: string[] = []
    const times = new Map<string, number>()
    for (const item of present) times.set(item, (times.get(item) ?? 0) + 1)
    for (const [item, count] of times) {
      const sent = this.#sent.get(item)
      if (count > 1) complaints.push(`${item} is there ${count} times`)
      if (sent === undefined) complaints.push(`${item} is there, but nobody sent it`)
      if (sent?.refused === 'not-committed') complaints.push(`${item} is there, but was refused as not-committed`)
    }
    for (const [item, sent] of this.#sent) {
      if (sent.acknowledged && !times.has(item))
        complaints.push(`${item} was acknowledged to ${sent.process} and is lost`)
    }
    return complaints
  }

  #checkObserver(name: string, { events, options }: Observer): string[] {
    const complaints: string[] = []
    const last = new Map<string, number>()
    const got = new Set<string>()
    let before: Seen | undefined
    for (const event of events) {
      const { item, seq } = event
      const sent = this.#sent.get(item)
      if (sent === undefined) complaints.push(`${name} saw ${item}, which nobody sent`)
      else {
        if (got.has(item)) complaints.push(`${name} saw ${item} twice`)
        else if (sent.place < (last.get(sent.process) ?? -1)) {
          complaints.push(`${name} saw ${item} after a later one of ${sent.process}`)
        }
        last.set(sent.process, Math.max(sent.place, last.get(sent.process) ?? -1))
        if (sent.refused === 'not-committed') complaints.push(`${name} saw ${item}, refused as not-committed`)
        if (sent.seq !== undefined && sent.seq !== seq && !isRepeat(sent.seq, seq)) {
          complaints.push(`${name} saw ${item} as seq ${seq}, acknowledged as ${sent.seq}`)
        }
        if (options.wants?.(item) === false) complaints.push(`${name} saw ${item}, which it did not ask for`)
      }
      if (before !== undefined && seq <= before.seq) {
        complaints.push(`${name} saw seq ${seq} (${item}) after ${before.seq} (${before.item})`)
      }
      if ((event.term ?? 0) < (before?.term ?? 0))
        complaints.push(`${name} saw term ${event.term} after ${before?.term}`)
      complaints.push(...this.#checkGap(name, before, event, got, options))
      got.add(item)
      before = event
    }
    return options.complete === true ? [...complaints, ...this.#checkTotal(name, events, options)] : complaints
  }

  /** What was lost between two events it saw, against what it was told. */
  #checkGap(
    name: string,
    before: Seen | undefined,
    event: Seen,
    got: ReadonlySet<string>,
    { complete, wants }: ObserverOptions,
  ): string[] {
    if (before === undefined && complete !== true) return []
    const told = missedOf(event)
    const where = `before ${event.item}`
    if (Number.isNaN(told) || told < 0) return [`${name} was told that ${told} are missing ${where}`]
    if (told === Infinity) {
      const sameTerm = before?.term !== undefined && before.term === event.term
      return sameTerm ? [`${name} was told Infinity ${where}, though the term is the same`] : []
    }
    const from = before?.seq ?? -Infinity
    let lost = 0
    let open = 0
    for (const [item, sent] of this.#sent) {
      if (wants?.(item) === false) continue
      if (isOpen(sent)) open++
      else if (sent.seq !== undefined && sent.seq > from && sent.seq < event.seq && !got.has(item)) lost++
    }
    if (told < lost) return [`${name} lost ${lost} ${where}, but was told ${told}`]
    return told > lost + open ? [`${name} was told ${told} missing ${where}, but lost ${lost}`] : []
  }

  /** received + missed == sent, as far as it is known what was sent. */
  #checkTotal(name: string, events: readonly Seen[], { wants }: ObserverOptions): string[] {
    const wanted = [...this.#sent].filter(([item]) => wants?.(item) !== false).map(([, sent]) => sent)
    const least = wanted.filter((sent) => sent.acknowledged).length
    const most = least + wanted.filter(isOpen).length
    const missed = events.reduce((sum, event) => sum + missedOf(event), 0)
    const total = events.length + (missed === Infinity ? 0 : missed)
    const sum = `${events.length} received + ${missed} missed, but ${least === most ? least : `${least} to ${most}`} sent`
    if (missed === Infinity) return total <= most ? [] : [`${name}: ${sum}`]
    return total >= least && total <= most ? [] : [`${name}: ${sum}`]
  }

  /** An item has the same seq for everybody, and a seq is one item. */
  #checkOneOrder(): string[] {
    const complaints: string[] = []
    const itemOf = new Map<number, string>()
    for (const [name, { events }] of this.#observers) {
      for (const { item, seq } of events) {
        const known = itemOf.get(seq)
        if (known === undefined) itemOf.set(seq, item)
        else if (known !== item) complaints.push(`seq ${seq} is ${item} for ${name} and ${known} for another`)
      }
    }
    return complaints
  }

  #settled(process: string, item: string, how: string): Sent | undefined {
    const sent = this.#sent.get(item)
    if (sent === undefined) this.#complain(`${item} was ${how} to ${process}, which never sent it`)
    else if (sent.process !== process) this.#complain(`${item} was ${how} to ${process}, but ${sent.process} sent it`)
    else if (sent.acknowledged || sent.refused !== undefined)
      this.#complain(`${item} was ${how}, but had settled before`)
    else return sent
    return undefined
  }

  #observerOf(name: string): Observer {
    let observer = this.#observers.get(name)
    if (observer === undefined) {
      observer = { events: [], options: {} }
      this.#observers.set(name, observer)
    }
    return observer
  }

  #complain(mistake: string): void {
    this.#mistakes.push(mistake)
  }
}

/** Sent, and nobody knows whether it arrived: not settled when the process died, or settled as unknown. */
function isOpen(sent: Sent): boolean {
  return !sent.acknowledged && sent.refused !== 'not-committed'
}

/**
 * Acknowledged in a later term than it was seen in: the primary died after it had delivered it and before its publisher
 * read so, which then offered it to the next one (rule A12).
 */
function isRepeat(acknowledged: number, seq: number): boolean {
  return Math.floor(acknowledged / NUMBERS_A_TERM) > Math.floor(seq / NUMBERS_A_TERM)
}

function missedOf({ missed = 0 }: Seen): number {
  return missed ?? Infinity
}
