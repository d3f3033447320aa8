import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import type { Outcome } from '../../src/errors/index.ts'
import { METHOD } from '../../src/sqlite/protocol.ts'
import { History, spawnProgram, until, type Scope } from '../support/index.ts'
import { ask, foreign, freshWorkspace, now, serve, TABLE, type Primary } from './support.ts'

/*
 * A model of what a network and dying primaries can do to numbered writes: every copy of a request may be delivered at
 * any time, in any order, any number of times, several at once; answers may be lost; the primary may be replaced between
 * commit and answer, or lose its seat before it commits.
 */

const WRITERS = ['a', 'b', 'c'] as const

type Step =
  | { readonly type: 'issue'; readonly writer: number; readonly fails: boolean; readonly keyed: boolean }
  | { readonly type: 'deliver'; readonly picks: readonly number[]; readonly lost: boolean }
  | { readonly type: 'ask'; readonly pick: number }
  | { readonly type: 'replace'; readonly before: 'idle' | 'commit' | 'answer'; readonly picks: readonly number[] }

const picks = fc.array(fc.nat(), { minLength: 1, maxLength: 6 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('issue' as const),
      writer: fc.nat(2),
      fails: fc.boolean(),
      keyed: fc.boolean(),
    }),
  },
  { weight: 6, arbitrary: fc.record({ type: fc.constant('deliver' as const), picks, lost: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('ask' as const), pick: fc.nat() }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('replace' as const),
      before: fc.constantFrom('idle' as const, 'commit' as const, 'answer' as const),
      picks,
    }),
  },
)

interface Write {
  readonly writer: number
  readonly number: number
  readonly item: string
  readonly request: Record<string, unknown>
  /** What its writer was told first. */
  told: Outcome | undefined
}

class Model {
  readonly #t: Scope
  readonly #workspace: ReturnType<typeof freshWorkspace>
  readonly writes: Write[] = []
  readonly #numbers = [0, 0, 0]
  #primary!: Primary
  #holds = true

  constructor(t: Scope) {
    this.#t = t
    this.#workspace = freshWorkspace(t)
  }

  async begin(): Promise<void> {
    await this.#serve()
    for (const w of WRITERS) await this.#send(METHOD.OPEN, { w })
  }

  async run(step: Step): Promise<void> {
    switch (step.type) {
      case 'issue':
        return this.#issue(step.writer, step.fails, step.keyed)
      case 'deliver':
        return this.#deliver(step.picks, step.lost)
      case 'ask':
        return this.#ask(step.pick)
      case 'replace':
        return this.#replace(step.before, step.picks)
    }
  }

  /** Everything unsettled is repeated in order; then the file must agree with what was told. */
  async end(): Promise<void> {
    for (const write of this.writes) if (write.told === undefined) await this.#hand(write, false)
    const database = foreign(this.#t, this.#primary.path)
    const present = new Map<string, number>()
    for (const { item } of database.prepare('SELECT item FROM log').all() as { item: string }[]) {
      present.set(item, (present.get(item) ?? 0) + 1)
    }
    for (const { item, told } of this.writes) {
      const times = present.get(item) ?? 0
      if (told === 'committed') assert.equal(times, 1, `${item} was acknowledged`)
      else if (told === 'not-committed') assert.equal(times, 0, `${item} was refused`)
      else assert.ok(times <= 1, `${item} is there ${times} times`)
      present.delete(item)
    }
    assert.deepEqual([...present.keys()], [], 'nobody sent these')
    assert.equal(database.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok')
    await this.#primary.close()
    database.close()
  }

  #issue(writer: number, fails: boolean, keyed: boolean): void {
    const number = ++this.#numbers[writer]!
    const item = `${WRITERS[writer]}${number}`
    // Half of a failing batch is valid, and whether it fails depends on what ran before.
    const batch = fails
      ? [
          ['INSERT INTO log VALUES (?)', [item]],
          ['INSERT INTO note(text) VALUES (?)', ['the same']],
        ]
      : [['INSERT INTO log VALUES (?)', [item]]]
    const settled = this.writes.filter((write) => write.writer === writer && write.told === undefined)
    const a = (settled[0]?.number ?? number) - 1
    const request = { w: WRITERS[writer], a, s: [{ n: number, batch, key: keyed ? `key ${item}` : undefined }] }
    this.writes.push({ writer, number, item, request, told: undefined })
  }

  async #deliver(picks: readonly number[], lost: boolean): Promise<void> {
    if (this.writes.length === 0) return
    const chosen = picks.map((pick) => this.writes[pick % this.writes.length]!)
    await Promise.all(chosen.map((write) => this.#hand(write, lost)))
  }

  async #hand(write: Write, lost: boolean): Promise<void> {
    const { ok } = (await this.#send(METHOD.WRITE, write.request)) as {
      ok: { error?: { data: { outcome: Outcome } } }[]
    }
    const answer = ok[0]!
    this.#tell(write, answer.error === undefined ? 'committed' : answer.error.data.outcome, lost)
  }

  /** Later answers may know less than the first, never something else. */
  #tell(write: Write, outcome: Outcome, lost: boolean): void {
    if (write.told === 'committed') assert.notEqual(outcome, 'not-committed', write.item)
    if (write.told === 'not-committed') assert.notEqual(outcome, 'committed', write.item)
    if (!lost) write.told ??= outcome
  }

  async #ask(pick: number): Promise<void> {
    const write = this.writes[pick % this.writes.length]
    // Its writer asks for what it gave up, not for what it still repeats.
    if (write === undefined || write.told !== undefined) return
    const w = WRITERS[write.writer]
    // What was sent before it has arrived, or never will.
    for (const earlier of this.writes)
      if (earlier.writer === write.writer && earlier.number < write.number) await this.#hand(earlier, false)
    const { ok } = (await this.#send(METHOD.OUTCOME, { w, of: w, n: write.number })) as { ok: Outcome }
    this.#tell(write, ok, false)
  }

  async #replace(before: 'idle' | 'commit' | 'answer', picks: readonly number[]): Promise<void> {
    const old = this.#primary
    if (this.writes.length > 0 && before !== 'idle') {
      const chosen = picks.map((pick) => this.writes[pick % this.writes.length]!)
      if (before === 'commit') this.#holds = false
      const sent = chosen.map((write) => this.#send(METHOD.WRITE, write.request).catch(() => {}))
      if (before === 'commit') await until(() => old.lost.length > 0, 'the primary to step down')
      else await Promise.all(sent)
      await old.close()
      await Promise.all(sent)
    } else await old.close()
    await this.#serve()
  }

  async #serve(): Promise<void> {
    this.#holds = true
    const options = { migrations: [TABLE, 'CREATE TABLE log(item TEXT)'], holdsSeat: () => this.#holds }
    this.#primary = await serve(this.#t, this.#workspace, options)
  }

  #send(method: string, params: object): Promise<unknown> {
    return ask(this.#primary.coordinator, method, params, { member: 'm', deadline: now() + 60_000 })
  }
}

test('A6: whatever is repeated, reordered, lost or cut off, each write happens at most once and as told', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 40 }), async (steps) => {
      const model = new Model(t)
      await model.begin()
      for (const one of steps) await model.run(one)
      await model.end()
    }),
    { numRuns: 60, endOnFailure: true },
  )
})

for (const durability of ['normal', 'full']) {
  test(`A6, F8: SIGKILL at random moments, durability ${durability}: every acknowledged write is there once`, async (t) => {
    const workspace = freshWorkspace(t)
    const history = new History()
    const acknowledged = new Set<string>()
    let path = ''
    for (let round = 0; round < 6; round++) {
      const program = spawnProgram(t, join(import.meta.dirname, 'programs', 'primary.ts'), [
        workspace.folder,
        durability,
      ])
      const started = await program.ready<{ path: string; term: number }>()
      assert.equal(started.term, round)
      path = started.path
      program.send({ flow: `r${round}` })
      await until(() => program.messages.length > 20, 'writes to flow')
      await sleep(Math.random() * 30)
      await program.kill()
      // What it was about to say when it died is not read; what it sent is known by its name.
      for (const { item } of program.messages.filter(({ did }) => did === 'acknowledged')) {
        history.invoked(`r${round}`, String(item))
        history.acknowledged(`r${round}`, String(item))
        acknowledged.add(String(item))
      }
    }
    const database = foreign(t, path)
    const present = database
      .prepare('SELECT text FROM note')
      .all()
      .map((row) => String(row['text']))
    for (const item of present) if (/^r\d-\d-\d+$/.test(item) && !acknowledged.has(item)) history.invoked(item, item)
    history.present(present)
    history.verify()
    assert.ok(history.counts.acknowledged > 50)
    assert.equal(database.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok')
  })
}
