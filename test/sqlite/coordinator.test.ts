import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ConclaveError } from '../../src/errors/index.ts'
import { GATHER_MS } from '../../src/sqlite/limits.ts'
import { METHOD } from '../../src/sqlite/protocol.ts'
import { until } from '../support/index.ts'
import { ask, code, foreign, freshWorkspace, notes, now, serve, timeless, type Primary } from './support.ts'

const INSERT = 'INSERT INTO note(text) VALUES (?)'
const LATER = 60_000

interface Sent {
  readonly ok?: unknown
  readonly error?: { readonly data: { readonly code: string; readonly outcome: string } }
}

/** Requests by hand: numbers as a test wants them. */
function writer(
  primary: Primary,
  w = 'w',
): {
  open(): Promise<Sent>
  write(
    n: number,
    text: string,
    more?: { a?: number; deadline?: number; signal?: AbortSignal; key?: string; sql?: string },
  ): Promise<Sent>
  outcome(n: number): Promise<unknown>
} {
  const send = (
    method: string,
    params: object,
    { deadline = now() + LATER, signal }: { deadline?: number | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<Sent> =>
    ask(primary.coordinator, method, { w, ...params }, { member: w, deadline, signal }) as Promise<Sent>
  return {
    open: () => send(METHOD.OPEN, {}),
    write: async (n, text, { a = 0, sql = INSERT, key, ...over } = {}) => {
      const answer = await send(METHOD.WRITE, { a, s: [{ n, sql, key, params: sql === INSERT ? [text] : [] }] }, over)
      return answer.error === undefined ? (answer.ok as Sent[])[0]! : answer
    },
    outcome: async (n) => (await send(METHOD.OUTCOME, { of: w, n })).ok,
  }
}

function refusal(sent: Sent): string {
  return sent.error === undefined ? 'ok' : `${sent.error.data.code} ${sent.error.data.outcome}`
}

describe('A6: exactly once', () => {
  test('A6: a repeat gets the stored outcome, success and failure alike, also from the next primary', async (t) => {
    const workspace = freshWorkspace(t)
    let primary = await serve(t, workspace)
    let w = writer(primary)
    await w.open()
    const first = await w.write(1, 'a')
    const second = await w.write(2, 'a')
    assert.equal(refusal(second), 'CONFLICT not-committed')
    for (let round = 0; round < 3; round++) {
      assert.deepEqual(await w.write(1, 'a'), first)
      assert.deepEqual(await w.write(2, 'a'), second)
      await primary.close()
      primary = await serve(t, workspace)
      w = writer(primary)
    }
    // (a) 2 failed because of 1; gone is the reason, and the repeat must not succeed now.
    await w.write(3, '', { sql: 'DELETE FROM note' })
    assert.deepEqual(await w.write(2, 'a'), second)
    assert.deepEqual(notes(foreign(t, primary.path)), [])
  })

  test('A6, A3: the failure of a write that ended its transaction is stored as well', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const w = writer(primary)
    await w.open()
    await w.write(1, 'a')
    const bomb = { sql: "INSERT OR ROLLBACK INTO note(text) VALUES ('a')" }
    const [failed] = await Promise.all([w.write(2, '', bomb), w.write(3, '', { sql: 'DELETE FROM note' })])
    assert.equal(refusal(failed), 'CONFLICT not-committed')
    assert.deepEqual(await w.write(2, '', bomb), failed)
    assert.equal(await w.outcome(2), 'not-committed')
    const row = foreign(t, primary.path).prepare('SELECT outcomes FROM _conclave_writers').get()!
    assert.deepEqual(
      (JSON.parse(String(row['outcomes'])) as [number][]).map(([n]) => n),
      [1, 2, 3],
    )
    assert.deepEqual(notes(foreign(t, primary.path)), [])
  })

  test('A6: (b) a repeat while the first copy waits runs once', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const w = writer(primary)
    await w.open()
    const copies = await Promise.all([w.write(1, 'a'), w.write(1, 'a'), w.write(2, 'b'), w.write(1, 'a')])
    assert.deepEqual(copies.map(refusal), ['ok', 'ok', 'ok', 'ok'])
    assert.deepEqual(notes(foreign(t, primary.path)), ['a', 'b'])
    assert.equal(primary.coordinator.counters.attached, 2)
  })

  test('A6: a number below the last one begun, without an outcome, never executes', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const w = writer(primary)
    await w.open()
    await w.write(3, 'c')
    assert.equal(refusal(await w.write(2, 'b')), 'DISCONNECTED not-committed')
    assert.equal(await w.outcome(2), 'not-committed')
    assert.deepEqual(notes(foreign(t, primary.path)), ['c'])
  })

  test('A6: (d) at or below the watermark nothing executes, and outcomes are forgotten', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const w = writer(primary)
    await w.open()
    await w.write(1, 'a')
    await w.write(2, 'b')
    await w.write(3, 'c', { a: 2 })
    assert.equal(refusal(await w.write(1, 'a')), 'DISCONNECTED unknown')
    assert.equal(await w.outcome(2), 'unknown')
    assert.equal(await w.outcome(3), 'committed')
    const row = foreign(t, primary.path).prepare('SELECT last, watermark, outcomes FROM _conclave_writers').get()!
    assert.deepEqual(
      [row['last'], row['watermark'], (JSON.parse(String(row['outcomes'])) as unknown[]).length],
      [3, 2, 1],
    )
    assert.deepEqual(notes(foreign(t, primary.path)), ['a', 'b', 'c'])
  })

  test('A6: (c) a writer without a row settles as unknown; a goodbye, or a day after the last link, removes it', async (t) => {
    const workspace = freshWorkspace(t)
    let primary = await serve(t, workspace)
    const [w, gone, stays] = ['w', 'gone', 'stays'].map((id) => writer(primary, id))
    for (const one of [w!, gone!, stays!]) {
      await one.open()
      await one.write(1, Math.random().toString())
    }
    assert.equal(refusal(await writer(primary, 'never').write(1, 'x')), 'SESSION_EXPIRED unknown')
    await ask(primary.coordinator, METHOD.BYE, { w: 'w' }, { member: 'w', deadline: now() + LATER })
    assert.equal(refusal(await w!.write(2, 'x')), 'SESSION_EXPIRED unknown')
    await primary.close()
    // The next primary counts from its own start for those it never saw leave.
    primary = await serve(t, workspace)
    assert.equal(refusal(await writer(primary, 'gone').write(2, 'y')), 'ok')
    primary.coordinator.memberLeft('gone')
    await writer(primary, 'stays').write(2, 'z')
    const database = foreign(t, primary.path)
    assert.equal(
      typeof database.prepare("SELECT closed FROM _conclave_writers WHERE writer = 'gone'").get()?.['closed'],
      'number',
    )
    await primary.close()
    database.exec("UPDATE _conclave_writers SET closed = closed - 86400001 WHERE writer = 'gone'")
    primary = await serve(t, workspace)
    assert.equal(refusal(await writer(primary, 'gone').write(3, 'y')), 'SESSION_EXPIRED unknown')
    assert.equal(refusal(await writer(primary, 'stays').write(3, 'y2')), 'ok')
  })

  test('A6: (c) a writer that is there is remembered, however long it has not written', async (t) => {
    const workspace = freshWorkspace(t)
    let primary = await serve(t, workspace)
    for (const id of ['quiet', 'gone']) {
      await writer(primary, id).open()
      await writer(primary, id).write(1, id)
    }
    await primary.close()
    primary = await serve(t, workspace)
    for (const w of ['quiet', 'never']) {
      const said = await ask(primary.coordinator, METHOD.HERE, { w }, { member: w, deadline: now() + LATER })
      assert.deepEqual(said, { ok: null })
    }
    t.mock.timers.enable({ apis: ['Date'], now: Date.now() + 25 * 60 * 60 * 1000 })
    await primary.close()
    primary = await serve(t, workspace)
    assert.equal(refusal(await writer(primary, 'quiet').write(2, 'x')), 'ok')
    for (const id of ['gone', 'never']) {
      assert.equal(refusal(await writer(primary, id).write(2, 'y')), 'SESSION_EXPIRED unknown', 'and is not made anew')
    }
  })

  test("A6: a caller's own key survives restarts, holds one write, and is not spent by a failure", async (t) => {
    const workspace = freshWorkspace(t)
    let primary = await serve(t, workspace)
    let client = primary.client()
    const first = await client.run(INSERT, ['a'], { key: 'order-1' })
    await assert.rejects(client.run(INSERT, ['a'], { key: 'order-2' }), code('CONFLICT'))
    await client.run(INSERT, ['b'], { key: 'order-2' })
    await primary.close()
    primary = await serve(t, workspace)
    client = primary.client()
    assert.deepEqual(await client.run(INSERT, ['a'], { key: 'order-1' }), first)
    await assert.rejects(
      client.run(INSERT, ['other'], { key: 'order-1' }),
      code('CONFLICT', 'not-committed', /one key, one write/),
    )
    assert.equal(await client.outcome('order-1'), 'committed')
    assert.equal(await client.outcome('order-9'), 'not-committed')
    const [once, twice] = await Promise.all([1, 2].map(() => client.run(INSERT, ['c'], { key: 'same time' })))
    assert.deepEqual(once, twice)
    assert.deepEqual(notes(foreign(t, primary.path)), ['a', 'b', 'c'])
  })
})

describe('A14, C4: what is too late or given up never starts', () => {
  test('A14: a write that comes to its turn after its deadline is not started', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const w = writer(primary)
    await w.open()
    assert.equal(refusal(await w.write(1, 'late', { deadline: now() - 1000 })), 'TIMEOUT not-committed')
    // It waits behind a transaction for longer than it has.
    const client = primary.client('t')
    const ends = await client.transaction(async () => {
      const waiting = w.write(2, 'waits', { deadline: now() + 20 })
      await new Promise((resolve) => setTimeout(resolve, 60))
      return { waiting }
    })
    assert.equal(refusal(await ends.waiting), 'TIMEOUT not-committed')
    assert.deepEqual(notes(foreign(t, primary.path)), [])
  })

  test('C4: a write given up in the queue never starts; a repeat that waits for it keeps it', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const w = writer(primary)
    await w.open()
    const [one, two] = [new AbortController(), new AbortController()]
    await primary.client('t').transaction(async () => {
      const given = w.write(1, 'given up', { signal: one.signal })
      given.catch(() => {})
      const kept = w.write(2, 'kept', { signal: two.signal })
      const repeat = w.write(2, 'kept')
      one.abort(new Error('no more'))
      two.abort()
      await assert.rejects(given, code('ABORTED', 'not-committed'))
      return { kept, repeat }
    })
    assert.equal(await w.outcome(2), 'committed')
    assert.deepEqual(notes(foreign(t, primary.path)), ['kept'])
  })

  test('C4: an outcome that is asked for waits for what is queued, and what was never sent is burnt', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const w = writer(primary)
    await w.open()
    const write = w.write(1, 'a')
    assert.equal(await w.outcome(1), 'committed')
    await write
    assert.equal(await w.outcome(2), 'not-committed')
    assert.equal(refusal(await w.write(2, 'an old copy')), 'DISCONNECTED not-committed')
    assert.equal(refusal(await w.write(3, 'b')), 'ok')
    const other = ask(
      primary.coordinator,
      METHOD.OUTCOME,
      { w: 'x', of: 'w', n: 4 },
      { member: 'x', deadline: now() + LATER },
    )
    assert.deepEqual(await other, { ok: 'unknown' }, 'another one may ask, and burns nothing')
    assert.equal(refusal(await w.write(4, 'c')), 'ok')
  })
})

describe('A11: a foreign writer never blocks the loop', () => {
  test('A11: writes wait while the file is locked, the loop turns, and nobody sees SQLITE_BUSY', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const client = primary.client()
    await client.run(INSERT, ['a'])
    const other = foreign(t, primary.path)
    other.exec('BEGIN IMMEDIATE')
    const write = client.run(INSERT, ['b'])
    const transaction = client.transaction((tx) => tx.run(INSERT, ['c']))
    let turns = 0
    const ticking = setInterval(() => turns++, 1)
    await until(() => turns > 30, 'the loop to turn')
    clearInterval(ticking)
    other.exec('COMMIT')
    await Promise.all([write, transaction])
    assert.deepEqual(notes(other), ['a', 'b', 'c'])
  })

  test('A11: a lock that is held for long is reported', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const other = foreign(t, primary.path)
    other.exec('BEGIN IMMEDIATE')
    const write = primary.client().run(INSERT, ['b'])
    await until(() => primary.reports.some(({ type }) => type === 'busy'), 'the report')
    other.exec('ROLLBACK')
    await write
  })
})

test('bounds: a full queue is OVERLOADED, not committed, and the number stays free', async (t) => {
  const primary = await serve(t, freshWorkspace(t), { limits: { queue: { memberCount: 3, count: 5 } } })
  const [a, b] = [writer(primary, 'a'), writer(primary, 'b')]
  await Promise.all([a.open(), b.open()])
  const writes = [1, 2, 3, 4].map((n) => a.write(n, `a${n}`)).concat([1, 2, 3].map((n) => b.write(n, `b${n}`)))
  const ends = (await Promise.all(writes)).map(refusal)
  assert.deepEqual(ends, ['ok', 'ok', 'ok', 'OVERLOADED not-committed', 'ok', 'ok', 'OVERLOADED not-committed'])
  assert.equal(refusal(await a.write(4, 'a4')), 'ok')
  assert.equal(primary.coordinator.queued.bytes, 0)
})

test('A6: a repeat of what was done gets its answer past the bounds', async (t) => {
  const primary = await serve(t, freshWorkspace(t), { limits: { queue: { count: 1 } } })
  const [a, b] = [writer(primary, 'a'), writer(primary, 'b')]
  await a.open()
  await b.open()
  const done = await a.write(1, 'a')
  const waiting = b.write(1, 'b')
  const [again, more] = await Promise.all([a.write(1, 'a'), a.write(2, 'c')])
  assert.deepEqual([again, refusal(more)], [done, 'OVERLOADED not-committed'])
  assert.equal(refusal(await waiting), 'ok')
})

test('a list among the writes is one more of the statement before, with the next number', async (t) => {
  const primary = await serve(t, freshWorkspace(t))
  const w = writer(primary)
  await w.open()
  const s = [{ n: 1, sql: INSERT, params: ['a'] }, ['b'], ['a'], { n: 4, sql: INSERT, params: ['d'] }, ['e']]
  const context = { member: 'w', deadline: now() + LATER }
  const { ok } = (await ask(primary.coordinator, METHOD.WRITE, { w: 'w', a: 0, s }, context)) as { ok: Sent[] }
  assert.deepEqual(ok.map(refusal), ['ok', 'ok', 'CONFLICT not-committed', 'ok', 'ok'])
  assert.deepEqual(notes(foreign(t, primary.path)), ['a', 'b', 'd', 'e'])
  assert.deepEqual(await w.write(5, 'another copy'), ok[4])
})

test('a member without a way to go writes no oftener than those that have one', async (t) => {
  // Nobody is slow on a clock that stands, and no wait for one that is away ends by itself.
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const primary = await serve(t, freshWorkspace(t, timeless()))
  const near = primary.client('near')
  const far = primary.client('far')
  await Promise.all([near.run('SELECT 1'), far.run('SELECT 1')])
  const written = { near: 0, far: 0 }
  const ended = (): boolean => written.far >= 50
  const writing = async (): Promise<void> => {
    for (; !ended(); written.near++) await near.run('SELECT 1')
  }
  const coming = async (): Promise<void> => {
    for (; !ended(); written.far++) {
      await far.run('SELECT 1')
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
    }
  }
  let over = false
  const both = Promise.all([writing(), coming()]).then(() => (over = true))
  // The last write of the one waits for the other, which has gone.
  for (; !over; await new Promise((resolve) => setImmediate(resolve))) if (ended()) t.mock.timers.tick(GATHER_MS)
  await both
  assert.ok(written.near <= 52, `${written.near} of one, ${written.far} of the other`)
})

test('what is asked of a closed room is refused', async (t) => {
  const primary = await serve(t, freshWorkspace(t))
  const client = primary.client()
  await client.run('SELECT 1')
  await primary.close()
  await assert.rejects(client.run(INSERT, ['late']), (error) => ConclaveError.is(error, 'PRIMARY_LOST'))
})

test('what no member sends is refused as INVALID_PARAMS', async (t) => {
  const primary = await serve(t, freshWorkspace(t))
  const context = { member: 'x', deadline: now() + LATER }
  for (const [method, params] of [
    ['$db.nothing', { w: 'w' }],
    [METHOD.WRITE, undefined],
    [METHOD.WRITE, { w: 'w', a: 0 }],
    [METHOD.WRITE, { w: 'w', a: 0, s: [null] }],
    [METHOD.WRITE, { w: 'w', s: [{ n: 1, sql: 'SELECT 1' }] }],
    [METHOD.WRITE, { w: 'w', a: 0, s: [{ n: 0, sql: 'SELECT 1' }] }],
    [METHOD.WRITE, { w: 'w', a: 0, s: [{ n: 1.5, sql: 'SELECT 1' }] }],
    [METHOD.WRITE, { w: 'w', a: 0, s: [{ n: 1 }] }],
    [METHOD.WRITE, { w: 'w', a: 0, s: [{ n: 1, batch: [['SELECT 1', 5]] }] }],
    [METHOD.WRITE, { w: 'w', a: 0, s: [{ n: 1, batch: ['SELECT 1'] }] }],
    [METHOD.WRITE, { w: 'w', a: 0, s: [{ n: 1, sql: 'SELECT 1', key: '' }] }],
    [METHOD.WRITE, { w: 'w', a: 0, s: Array.from({ length: 257 }, (_, n) => ({ n: n + 1, sql: 'SELECT 1' })) }],
    [METHOD.WRITE, { w: 'w', a: 0, s: [] }],
    [METHOD.WRITE, { w: 'w', a: 0, s: [['x']] }],
    [METHOD.WRITE, { w: 'w', a: 0, s: [{ n: 1, call: 'x' }, ['x']] }],
    [
      METHOD.WRITE,
      {
        w: 'w',
        a: 0,
        s: [
          { n: 2, sql: 'SELECT 1' },
          { n: 2, sql: 'SELECT 1' },
        ],
      },
    ],
    [METHOD.STEP, { w: 'w', x: 1 }],
  ] as const) {
    const answer = (await ask(primary.coordinator, method, params, context)) as Sent
    assert.equal(refusal(answer), 'INVALID_PARAMS not-committed', JSON.stringify(params))
  }
})
