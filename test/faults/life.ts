/** The whole life of a member, beside another one, with everything it is told written down. */
import assert from 'node:assert/strict'
import { join as path } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ConclaveError, join, type Event, type Member } from 'conclave'
import { isCode } from '../../src/errors/index.ts'
import { within } from '../support/index.ts'

/** As a member that nothing is known of beforehand: names are checked by whoever answers. */
type AnyMember = Member & {
  call(method: string, params?: unknown, options?: object): Promise<unknown>
}

/** How the first member leaves. */
export type Departure = 'closes' | 'dies'

const LIMIT_MS = 20_000
/** Of the database they may share. */
export const DATABASE = { migrations: ['CREATE TABLE note(text TEXT NOT NULL)'] } as const
let lives = 0
const LONG = 'x'.repeat(300_000)

export class Life {
  /** What failed, as `step: CODE`. */
  readonly failures: string[] = []
  /** Who was primary in which term. */
  readonly reigns: { readonly who: string; readonly term: number }[] = []
  readonly #folder: string
  readonly #members: AnyMember[] = []
  readonly #acknowledged = new Set<string>()
  readonly #seen = new Set<string>()
  /** Apart from those of earlier lives in the folder. */
  readonly #tag = `life ${lives++}`
  #missed = 0
  #runs = 0
  #ran = 0

  readonly #database: boolean
  readonly #written = new Set<string>()

  /** @param database whether they share one, and write to it at every step */
  constructor(folder: string, database = false) {
    this.#folder = folder
    this.#database = database
  }

  async live(departure: Departure): Promise<void> {
    const a = await this.#join('a')
    const b = await this.#join('b')
    const reader = b === undefined ? undefined : this.#read(b)
    await this.#step('ready', () => reader?.subscription.ready)
    await this.#publish(a, 'by a')
    await this.#publish(b, 'by b')
    await Promise.all([this.#write(a, 'by a'), this.#write(b, 'by b')])
    await this.#run(b, 'primary')
    await this.#step('a calls b', () => a?.call('echo', 'hello', { to: { name: 'b' }, timeoutMs: 3000 }))
    await this.#step('long', () => b?.call('echo', LONG, { to: 'primary', timeoutMs: 5000, idempotent: true }))
    await Promise.all([
      this.#write(b, 'at the end'),
      this.#publish(b, 'at the end'),
      this.#run(b, 'primary'),
      this.#publish(a, 'of a'),
    ])
    if (departure === 'dies') a?.abort(new Error('dies'))
    else await this.#step('a closes', () => a?.close({ timeoutMs: 2000 }))
    await this.#run(b, 'any')
    await this.#publish(b, 'after a')
    // Told with the next event, so that one more follows.
    await this.#publish(b, 'last')
    await this.#step('reading', () => reader?.until('last'))
    if (reader?.ended === false && this.#acknowledged.has('last')) this.#nothingLost()
    await this.#write(b, 'after a')
    await this.#step('b closes', () => b?.close({ timeoutMs: 2000 }))
    this.#nothingUnwritten()
    assert.ok(this.#ran >= this.#runs, `${this.#runs} runs were told of and ${this.#ran} happened`)
    this.#onePrimaryATerm()
  }

  /** Ends whoever is still there. */
  end(): void {
    for (const member of this.#members) member.abort(new Error('the life is over'))
  }

  async #join(name: string): Promise<AnyMember | undefined> {
    const member = await this.#step(
      `${name} joins`,
      () =>
        join(this.#folder, {
          name,
          methods: { echo: (x: unknown) => x, run: () => ++this.#ran },
          ...(this.#database ? { database: DATABASE } : {}),
          limits: { graceMs: 20, unresponsiveMs: 2000, handshakeTimeoutMs: 2000 },
        }) as unknown as Promise<AnyMember>,
    )
    if (member === undefined) return undefined
    this.#members.push(member)
    void this.#watch(name, member)
    return member
  }

  async #watch(who: string, member: Member): Promise<void> {
    let term = 0
    for await (const status of member.status()) {
      if (status.type !== 'role') continue
      assert.ok(status.term >= term, `the term of ${who} fell from ${term} to ${status.term}`)
      term = status.term
      if (status.role === 'primary') this.reigns.push({ who, term })
    }
  }

  #read(member: Member): {
    subscription: ReturnType<Member['subscribe']>
    until(item: string): Promise<void>
    ended: boolean
  } {
    const subscription = member.subscribe('x', { maxQueued: 1000 })
    const waiting = new Map<string, () => void>()
    const reader = {
      subscription,
      ended: false,
      until: (item: string): Promise<void> =>
        new Promise((resolve) => {
          if (reader.ended || this.#seen.has(item) || !this.#acknowledged.has(item)) resolve()
          else waiting.set(item, resolve)
        }),
    }
    void (async () => {
      try {
        for await (const { data, missed } of subscription as AsyncIterable<Event>) {
          this.#missed += missed
          this.#seen.add(data as string)
          waiting.get(data as string)?.()
        }
      } catch (error) {
        this.#typed('subscription', error)
      }
      reader.ended = true
      for (const resolve of waiting.values()) resolve()
    })()
    return reader
  }

  async #publish(member: Member | undefined, item: string): Promise<void> {
    const seq = await this.#step(`publish ${item}`, () => member?.publish('x', item))
    if (seq !== undefined) this.#acknowledged.add(item)
  }

  async #write(member: AnyMember | undefined, item: string): Promise<void> {
    if (!this.#database || member === undefined) return
    const name = `${item} ${this.#tag}`
    const done = await this.#step(`write ${item}`, () =>
      member.db.run('INSERT INTO note VALUES (?)', [name], { timeoutMs: 3000 }),
    )
    if (done !== undefined) this.#written.add(name)
  }

  /** Every write that was acknowledged is there, once. */
  #nothingUnwritten(): void {
    if (!this.#database || this.#written.size === 0) return
    const database = new DatabaseSync(path(this.#folder, '.conclave', 'data.db'))
    try {
      for (const name of this.#written) {
        const { n } = database.prepare('SELECT count(*) AS n FROM note WHERE text = ?').get(name)!
        assert.equal(n, 1, `the acknowledged write "${name}" is there ${String(n)} times`)
      }
    } finally {
      database.close()
    }
  }

  async #run(member: AnyMember | undefined, to: 'primary' | 'any'): Promise<void> {
    const told = await this.#step('run', () => member?.call('run', undefined, { to, timeoutMs: 3000 }))
    if (told !== undefined) this.#runs++
  }

  /** Settles, and with one of our errors if with any. */
  async #step<T>(what: string, act: () => Promise<T> | undefined): Promise<T | undefined> {
    try {
      return await within(Promise.resolve(act()), what, LIMIT_MS)
    } catch (error) {
      this.#typed(what, error)
      return undefined
    }
  }

  #typed(what: string, error: unknown): void {
    if (!ConclaveError.is(error) || !isCode(error.code)) {
      throw new Error(`${what}: not an error of ours: ${String((error as Error)?.stack ?? error)}`, { cause: error })
    }
    assert.ok(error.message.length > 20, `${what}: ${error.code} says too little: ${error.message}`)
    this.failures.push(`${what}: ${error.code}`)
  }

  #nothingLost(): void {
    const lost = [...this.#acknowledged].filter((item) => !this.#seen.has(item))
    assert.ok(
      lost.length <= this.#missed,
      `acknowledged, not seen and not told: ${lost.join(', ')} (${this.#missed} told)`,
    )
  }

  #onePrimaryATerm(): void {
    const terms = this.reigns.map(({ term }) => term)
    assert.equal(new Set(terms).size, terms.length, `two primaries of a term: ${JSON.stringify(this.reigns)}`)
  }
}
