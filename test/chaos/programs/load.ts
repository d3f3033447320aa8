import { ConclaveError, type Member, type To } from 'conclave'
import type { LoadCommand } from '../support/commands.ts'
import type { JournalFile } from './journal.ts'

/** What a run needs of a member that has a database. */
export interface Writing {
  readonly db: {
    run(
      sql: string,
      params?: readonly string[],
      options?: { readonly key?: string; readonly timeoutMs?: number },
    ): Promise<unknown>
    outcome(key: string): Promise<'committed' | 'not-committed' | 'unknown'>
  }
}

const TIMEOUT_MS = 10_000
const OUTCOME_ATTEMPTS = 5

/** Calls, events and writes without end, each noted before it is sent and when it has settled. */
export class Load {
  readonly #member: Member & Partial<Writing>
  readonly #journal: JournalFile
  readonly #prefix: string
  #next = 0
  #running = false
  #loops: Promise<void>[] = []
  #inDoubt: { readonly item: string; readonly key: string }[] = []

  /** @param prefix no other load of the run has it */
  constructor(member: Member & Partial<Writing>, journal: JournalFile, prefix: string) {
    this.#member = member
    this.#journal = journal
    this.#prefix = prefix
  }

  start({
    calls = 0,
    events = 0,
    writes = 0,
    topics = ['load.a'],
    burst = 1,
    bytes = 0,
    pauseMs = 0,
  }: LoadCommand): void {
    this.#running = true
    const repeat = (step: (turn: number) => Promise<unknown>): void => {
      this.#loops.push(this.#loop(step, pauseMs))
    }
    for (let i = 0; i < calls; i++) {
      repeat((turn) => (i % 2 === 0 ? this.call('work', 'any', true, turn % 3) : this.call('work', 'primary', false)))
    }
    for (let i = 0; i < events; i++) repeat((turn) => this.publishMany(topics[turn % topics.length]!, burst, bytes))
    for (let i = 0; i < writes; i++) repeat((turn) => this.#write(turn % 2 === 0))
  }

  /** Resolves when everything has settled, and what ended as unknown was asked for again. */
  async stop(): Promise<{ readonly unknown: number }> {
    this.#running = false
    await Promise.all(this.#loops.splice(0))
    const inDoubt = this.#inDoubt.splice(0)
    for (const { item, key } of inDoubt) await this.#askAgain(item, key)
    return { unknown: inDoubt.length }
  }

  async call(method: 'work' | 'exit', to: To, idempotent: boolean, ms = 0): Promise<object> {
    const item = this.#name('c')
    this.#journal.write({ k: 'invoke', op: 'call', item, idempotent })
    try {
      const options = { to, idempotent, timeoutMs: TIMEOUT_MS }
      const answer = await this.#member.call(method, { item, ms } as never, options as never)
      if (answer !== item) throw new Error(`${item} was answered with ${JSON.stringify(answer)}`)
      this.#journal.write({ k: 'ok', item })
    } catch (error) {
      this.#refused(item, error)
    }
    return {}
  }

  /** @param bytes of padding in each */
  async publishMany(topic: string, count: number, bytes = 0): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.#publish(topic, 'e', bytes)))
  }

  /** One event under each topic. @returns their names */
  async marks(topics: readonly string[]): Promise<string[]> {
    return (await Promise.all(topics.map((topic) => this.#publish(topic, 'm')))).filter((item) => item !== undefined)
  }

  async #loop(step: (turn: number) => Promise<unknown>, pauseMs: number): Promise<void> {
    let turn = 0
    while (this.#running) {
      await step(turn++)
      // Not only microtasks: the commands of the coordinator must come through.
      await (pauseMs > 0
        ? new Promise((resolve) => setTimeout(resolve, pauseMs))
        : new Promise((resolve) => setImmediate(resolve)))
    }
  }

  async #publish(topic: string, kind = 'e', bytes = 0): Promise<string | undefined> {
    const item = this.#name(kind)
    this.#journal.write({ k: 'invoke', op: 'event', item, topic })
    try {
      const seq = await this.#member.publish(topic, bytes === 0 ? item : [item, 'x'.repeat(bytes)])
      this.#journal.write({ k: 'ok', item, seq })
      return item
    } catch (error) {
      this.#refused(item, error)
      return undefined
    }
  }

  /** @param keyed by a key of its own; otherwise by the member's number for it, as most writes are */
  async #write(keyed: boolean): Promise<void> {
    const item = this.#name('w')
    const { db } = this.#member as Writing
    this.#journal.write({ k: 'invoke', op: 'write', item })
    try {
      const sql = 'insert into entry(item, writer) values (?, ?)'
      await db.run(sql, [item, this.#prefix], { timeoutMs: TIMEOUT_MS, ...(keyed ? { key: item } : {}) })
      this.#journal.write({ k: 'ok', item })
    } catch (error) {
      this.#refused(item, error)
      const { outcome, key } = error as ConclaveError
      if (outcome !== 'not-committed' && key !== undefined) this.#inDoubt.push({ item, key })
    }
  }

  async #askAgain(item: string, key: string): Promise<void> {
    const { db } = this.#member as Writing
    for (let attempt = 1; attempt <= OUTCOME_ATTEMPTS; attempt++) {
      try {
        this.#journal.write({ k: 'outcome', item, outcome: await db.outcome(key) })
        return
      } catch {
        // Nobody could tell; it stays unknown.
      }
    }
  }

  #refused(item: string, error: unknown): void {
    if (!ConclaveError.is(error)) {
      this.#journal.write({ k: 'no', item, code: String(error), outcome: 'unknown' })
      return
    }
    this.#journal.write({ k: 'no', item, code: error.code, outcome: error.outcome ?? 'unknown' })
    // This member is over: it would refuse the rest as fast as it is asked.
    if (error.code === 'CLOSED' || error.code === 'WORKSPACE_MOVED') this.#running = false
  }

  #name(kind: string): string {
    return `${kind}.${this.#prefix}.${this.#next++}`
  }
}
