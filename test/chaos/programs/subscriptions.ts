import type { ConclaveError, Event, Member, Subscription } from 'conclave'
import type { SubscribeCommand } from '../support/commands.ts'
import type { JournalFile } from './journal.ts'

interface Reading {
  readonly name: string
  readonly marks: Set<string>
  received: number
  missed: number
  ended: boolean
}

/** The subscriptions of a worker: every event goes into the journal as it is read. */
export class Subscriptions {
  readonly #member: Member
  readonly #journal: JournalFile
  readonly #incarnation: number
  readonly #readings: Reading[] = []
  readonly #ends: Promise<void>[] = []

  constructor(member: Member, journal: JournalFile, incarnation: number) {
    this.#member = member
    this.#journal = journal
    this.#incarnation = incarnation
  }

  /** @returns the seq it begins after */
  async add({ s, pattern, maxQueued, overflow, slowMs = 0, slowEvery = 1 }: SubscribeCommand): Promise<number> {
    const name = `${s}.${this.#incarnation}`
    this.#journal.write({ k: 'subscribing', s: name, pattern })
    const subscription = this.#member.subscribe(pattern, { maxQueued, overflow }) as Subscription<Event>
    const seq = await subscription.ready
    this.#journal.write({ k: 'subscribed', s: name, seq })
    const reading: Reading = { name, marks: new Set(), received: 0, missed: 0, ended: false }
    this.#readings.push(reading)
    this.#ends.push(this.#read(reading, subscription, slowMs, slowEvery))
    return seq
  }

  /** Those that have not seen any of these marks, and what was read so far. */
  progress(marks: readonly string[]): {
    readonly waiting: string[]
    readonly received: number
    readonly missed: number
  } {
    const waiting = this.#readings.filter(({ ended, marks: had }) => !ended && !marks.some((mark) => had.has(mark)))
    return {
      waiting: waiting.map(({ name }) => name),
      received: this.#readings.reduce((sum, { received }) => sum + received, 0),
      missed: this.#readings.reduce((sum, { missed }) => sum + missed, 0),
    }
  }

  async over(): Promise<void> {
    await Promise.all(this.#ends)
  }

  async #read(own: Reading, subscription: Subscription<Event>, slowMs: number, slowEvery: number): Promise<void> {
    try {
      for await (const { data, topic, seq, term, missed, missedAtLeast } of subscription) {
        const item = (Array.isArray(data) ? data[0] : data) as string
        this.#journal.write({ k: 'saw', s: own.name, item, topic, seq, term, missed, atLeast: missedAtLeast })
        own.received++
        own.missed += missed
        if (item.startsWith('m.')) own.marks.add(item)
        if (slowMs > 0 && own.received % slowEvery === 0) await new Promise((resolve) => setTimeout(resolve, slowMs))
      }
    } catch (error) {
      this.#journal.write({ k: 'ended', s: own.name, code: (error as ConclaveError).code ?? String(error) })
    }
    own.ended = true
  }
}
