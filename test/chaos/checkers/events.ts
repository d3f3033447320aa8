import { fault, type Fault } from './fault.ts'
import type { Journal, Sight } from './journal.ts'

export interface EventFigures {
  /** Publishes that were acknowledged. */
  readonly acknowledged: number
  readonly seen: number
  /** Gaps that were told with a number, and those events. */
  readonly gaps: number
  readonly missed: number
  /** Gaps of which only a least number was told: the primary had died. */
  readonly inexact: number
}

/** A public seq is the term times 2^32 plus the event's number within the term, from 1 (docs/wire.md). */
const NUMBERS_A_TERM = 2 ** 32

interface Sent {
  readonly publisher: string
  /** Its place among what this process published. */
  readonly place: number
  readonly topic: string
  acknowledged: boolean
  notCommitted: boolean
  /** The earliest term in which somebody knows its place; Infinity when nobody does in any. */
  term: number
}

interface Subscription {
  readonly name: string
  readonly pattern: string
  start: number | undefined
  readonly sights: Sight[]
}

interface Gap {
  /** Events that lie in it for certain and were not seen before. */
  readonly lost: number
  /** Events that may lie in it: nobody knows where they are, or this subscriber had them from an earlier term. */
  readonly open: number
}

/**
 * One order for all, each publisher's own order, nothing twice, nothing invented, and every loss told where it happened:
 * exactly how many while the primary lived, at least how many after one died.
 */
export function checkEvents(journals: readonly Journal[]): { faults: Fault[]; figures: EventFigures } {
  const bus = new Bus(journals)
  const faults = [...bus.faults]
  const figures = { acknowledged: bus.acknowledged, seen: 0, gaps: 0, missed: 0, inexact: 0 }
  for (const subscription of bus.subscriptions) {
    figures.seen += subscription.sights.length
    for (const { missed } of subscription.sights) {
      if (missed === null) figures.inexact++
      else if (missed > 0) {
        figures.gaps++
        figures.missed += missed
      }
    }
    faults.push(...checkSights(bus, subscription), ...checkGaps(bus, subscription))
  }
  return { faults, figures }
}

/** What all journals together say of the bus. */
class Bus {
  readonly faults: Fault[] = []
  readonly sent = new Map<string, Sent>()
  readonly subscriptions: Subscription[] = []
  acknowledged = 0
  /** By seq. */
  readonly #items = new Map<number, string>()
  /** Highest known number by term. */
  readonly #highest = new Map<number, number>()

  constructor(journals: readonly Journal[]) {
    for (const { name, lines } of journals) {
      let place = 0
      for (const line of lines) {
        if (line.k === 'invoke' && line.op === 'event') {
          this.sent.set(line.item, {
            publisher: name,
            place: place++,
            topic: line.topic ?? '',
            acknowledged: false,
            notCommitted: false,
            term: Infinity,
          })
        }
      }
    }
    for (const { name, lines } of journals) {
      const own = new Map<string, Subscription>()
      for (const line of lines) {
        if (line.k === 'subscribing') {
          own.set(line.s, { name: `${name} ${line.s}`, pattern: line.pattern, start: undefined, sights: [] })
        } else if (line.k === 'subscribed') own.get(line.s)!.start = line.seq
        else if (line.k === 'saw') {
          own.get(line.s)!.sights.push(line)
          this.#place(line.item, line.seq)
        } else if (line.k === 'ok' || line.k === 'no')
          this.#settled(line.item, line.k === 'ok' ? line : undefined, line)
      }
      this.subscriptions.push(...own.values())
    }
  }

  /** What lies strictly between two positions. @param had what the subscriber has seen */
  between(from: number, to: number, pattern: string, had: ReadonlySet<string>): Gap {
    let lost = 0
    let open = 0
    let unknown = 0
    const count = (seq: number): void => {
      const item = this.#items.get(seq)
      if (item === undefined) unknown++
      else if (!matches(pattern, this.sent.get(item)?.topic ?? '')) return
      else if (had.has(item)) open++
      else lost++
    }
    const [first, last] = [termOf(from), termOf(to)]
    for (let term = first; term <= last; term++) {
      const begin = term === first ? from + 1 : term * NUMBERS_A_TERM + 1
      const end = term === last ? to - 1 : term * NUMBERS_A_TERM + (this.#highest.get(term) ?? 0)
      for (let seq = begin; seq <= end; seq++) count(seq)
    }
    // What was not acknowledged may have had a place in a term that died, also when it was repeated in a later one.
    let elsewhere = 0
    for (const { topic, term, notCommitted } of this.sent.values()) {
      if (term > first && !notCommitted && matches(pattern, topic)) elsewhere++
    }
    // Within one term each of them needs a number that nobody else has; how many an old term had at its end, nobody knows.
    return { lost, open: open + (first === last ? Math.min(unknown, elsewhere) : elsewhere) }
  }

  #settled(item: string, ok: { readonly seq?: number } | undefined, line: { readonly k: string }): void {
    const sent = this.sent.get(item)
    if (sent === undefined) return
    if (ok === undefined) {
      sent.notCommitted = (line as { outcome?: string }).outcome === 'not-committed'
      return
    }
    sent.acknowledged = true
    this.acknowledged++
    // Number 0: it was repeated so late that the switchboard no longer knew its place.
    if (ok.seq !== undefined && ok.seq % NUMBERS_A_TERM > 0) this.#place(item, ok.seq)
  }

  #place(item: string, seq: number): void {
    const known = this.#items.get(seq)
    if (known !== undefined && known !== item) {
      this.faults.push(fault('order', `${show(seq)} is ${known} for one and ${item} for another`))
    }
    this.#items.set(seq, item)
    const term = termOf(seq)
    this.#highest.set(term, Math.max(this.#highest.get(term) ?? 0, seq % NUMBERS_A_TERM))
    const sent = this.sent.get(item)
    if (sent !== undefined) sent.term = Math.min(sent.term, term)
  }
}

function checkSights(bus: Bus, { name, pattern, sights }: Subscription): Fault[] {
  const faults: Fault[] = []
  const had = new Set<string>()
  const latest = new Map<string, number>()
  let before: Sight | undefined
  for (const sight of sights) {
    const { item, topic, seq, term } = sight
    const sent = bus.sent.get(item)
    if (sent === undefined) faults.push(fault('phantom', `${name} saw ${item}, which nobody published`))
    else {
      if (sent.topic !== topic) faults.push(fault('phantom', `${name} saw ${item} under ${topic}, not ${sent.topic}`))
      if (sent.notCommitted) faults.push(fault('phantom', `${name} saw ${item}, which was refused as not committed`))
      const last = latest.get(sent.publisher) ?? -1
      if (had.has(item)) faults.push(fault('duplicated', `${name} saw ${item} twice`))
      else if (sent.place < last)
        faults.push(fault('order', `${name} saw ${item} after a later one of ${sent.publisher}`))
      latest.set(sent.publisher, Math.max(last, sent.place))
    }
    if (!matches(pattern, topic))
      faults.push(fault('phantom', `${name} saw ${topic}, which ${pattern} does not ask for`))
    if (termOf(seq) !== term) faults.push(fault('order', `${name} saw ${show(seq)} as of term ${term}`))
    if (before !== undefined && seq <= before.seq) {
      faults.push(fault('order', `${name} saw ${show(seq)} (${item}) after ${show(before.seq)} (${before.item})`))
    }
    had.add(item)
    before = sight
  }
  return faults
}

function checkGaps(bus: Bus, { name, pattern, start, sights }: Subscription): Fault[] {
  if (start === undefined) return []
  const faults: Fault[] = []
  const had = new Set<string>()
  let at = start
  /** Losses told with no exact number. Publishers may repeat those events in the next term: they are not told twice. */
  let told = 0
  for (const { item, seq, missed, atLeast } of sights) {
    const nothing = seq === at + 1 && missed === 0 && atLeast === 0
    if (!nothing && seq > at) {
      const { lost, open } = bus.between(at, seq, pattern, had)
      const where = `${name}, between ${show(at)} and ${show(seq)} (${item})`
      if (missed === null) {
        if (termOf(at) === termOf(seq)) faults.push(fault('gap', `${where}: told Infinity, but the primary lived`))
        if (atLeast > lost + open) {
          faults.push(fault('gap', `${where}: told at least ${atLeast}, but lost ${lost} (and at most ${open} more)`))
        }
        told += atLeast
      } else if (missed < lost) {
        told -= lost - missed
        if (told < 0) faults.push(fault('lost', `${where}: told ${missed}, but lost ${lost}`))
        told = Math.max(told, 0)
      } else if (missed > lost + open || missed !== atLeast) {
        faults.push(
          fault('gap', `${where}: told ${missed} (at least ${atLeast}), but lost ${lost} (and at most ${open} more)`),
        )
      }
    }
    had.add(item)
    at = Math.max(at, seq)
  }
  return faults
}

/** NATS wildcards: `*` is one token, `>` at the end one or more. */
export function matches(pattern: string, topic: string): boolean {
  const wanted = pattern.split('.')
  const tokens = topic.split('.')
  for (const [i, want] of wanted.entries()) {
    if (want === '>') return tokens.length > i
    if (i >= tokens.length || (want !== '*' && want !== tokens[i])) return false
  }
  return wanted.length === tokens.length
}

function termOf(seq: number): number {
  return Math.floor(seq / NUMBERS_A_TERM)
}

function show(seq: number): string {
  return `${termOf(seq)}:${seq % NUMBERS_A_TERM}`
}
