import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { METHOD } from '../../src/sqlite/protocol.ts'
import { until } from '../support/index.ts'
import { ask, code, foreign, freshWorkspace, notes, now, serve, TABLE } from './support.ts'

const INSERT = 'INSERT INTO note(text) VALUES (?)'

describe('B11: interactive transactions', () => {
  test('B11: reads its own writes, commits as one, and rolls back what its callback throws', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const client = primary.client()
    const result = await client.transaction(async (tx) => {
      await tx.run(INSERT, ['a'])
      await assert.rejects(tx.run(INSERT, ['a']), code('CONFLICT'))
      return (await tx.run<{ n: number }>('SELECT count(*) AS n FROM note')).rows[0]!.n
    })
    assert.equal(result, 1)
    const kept: { tx?: { run(sql: string): Promise<unknown> } } = {}
    await assert.rejects(
      client.transaction(async (tx) => {
        kept.tx = tx
        await tx.run(INSERT, ['b'])
        throw new RangeError('changed my mind')
      }),
      RangeError,
    )
    await assert.rejects(kept.tx!.run(INSERT), code('CLOSED'))
    await client.run(INSERT, ['c'])
    assert.deepEqual(notes(foreign(t, primary.path)), ['a', 'c'])
  })

  test('B11: one at a time, others wait their turn, fairly', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const order: string[] = []
    const [a, b] = [primary.client('a'), primary.client('b')]
    const transaction = (client: typeof a, name: string): Promise<void> =>
      client.transaction(async (tx) => {
        order.push(`${name} begins`)
        await tx.run(INSERT, [name])
        await sleep(5)
        order.push(`${name} ends`)
      })
    await Promise.all([a.run('SELECT 1'), b.run('SELECT 1')])
    await Promise.all([transaction(a, 'a1'), transaction(a, 'a2'), transaction(b, 'b1'), b.run(INSERT, ['plain'])])
    assert.deepEqual(
      order,
      ['a1', 'b1', 'a2'].flatMap((name) => [`${name} begins`, `${name} ends`]),
    )
  })

  test('B11: writes of the same member go on beside its transaction, and none is lost to its COMMIT', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const client = primary.client()
    const before = client.run(INSERT, ['before'])
    let beside: Promise<unknown> | undefined
    await client.transaction(async (tx) => {
      await tx.run(INSERT, ['inside'])
      beside = client.run(INSERT, ['beside'])
      await sleep(5)
    })
    await Promise.all([before, beside, client.run(INSERT, ['after'])])
    assert.deepEqual(notes(foreign(t, primary.path)), ['before', 'inside', 'beside', 'after'])
  })

  test('B11: its deadline rolls it back and lets the others go on; the next step and the commit say so', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const [slow, other] = [primary.client('slow'), primary.client('other')]
    const lost = code('TRANSACTION_LOST', 'not-committed', /deadline of 250 ms/)
    let outside: Promise<unknown> | undefined
    await assert.rejects(
      slow.transaction(
        async (tx) => {
          await tx.run(INSERT, ['held'])
          outside = other.run(INSERT, ['other'])
          await outside
          await tx.run(INSERT, ['too late'])
        },
        { timeoutMs: 250 },
      ),
      lost,
    )
    // One that never asks again learns of it at the commit.
    await assert.rejects(
      slow.transaction(
        async (tx) => {
          await tx.run(INSERT, ['held'])
          await other.run('SELECT 1')
        },
        { timeoutMs: 250 },
      ),
      code('TRANSACTION_LOST', 'not-committed'),
    )
    assert.deepEqual(notes(foreign(t, primary.path)), ['other'])
  })

  test("B11: losing the owner's link rolls back at once", async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const [owner, other] = [primary.client('owner'), primary.client('other')]
    const held = owner.transaction(
      async (tx) => {
        await tx.run(INSERT, ['held'])
        primary.coordinator.memberLeft('owner')
        await other.run(INSERT, ['other'])
        await tx.run(INSERT, ['more'])
      },
      { timeoutMs: 30_000 },
    )
    await assert.rejects(held, code('TRANSACTION_LOST', 'not-committed', /disconnected/))
    assert.deepEqual(notes(foreign(t, primary.path)), ['other'])
  })

  test('B11: COMMIT is numbered: after a failover its outcome is asked for; without one it is not committed', async (t) => {
    const workspace = freshWorkspace(t)
    let primary = await serve(t, workspace)
    const over = { member: 'm', deadline: now() + 60_000 }
    const send = (method: string, params: object): Promise<unknown> =>
      ask(primary.coordinator, method, { w: 'w', ...params }, over)
    await send(METHOD.OPEN, {})
    await send(METHOD.BEGIN, { x: 1, ms: 5000 })
    await send(METHOD.BEGIN, { x: 1, ms: 5000 }) // a repeat attaches
    await send(METHOD.STEP, { x: 1, sql: INSERT, params: ['a'] })
    assert.deepEqual(await send(METHOD.COMMIT, { x: 1, n: 1, a: 0 }), { ok: null })
    assert.deepEqual(await send(METHOD.COMMIT, { x: 1, n: 1, a: 0 }), { ok: null })
    await send(METHOD.BEGIN, { x: 2, ms: 5000 })
    await send(METHOD.STEP, { x: 2, sql: INSERT, params: ['b'] })
    await primary.close()
    primary = await serve(t, workspace)
    assert.deepEqual(await send(METHOD.COMMIT, { x: 1, n: 1, a: 0 }), { ok: null })
    const refused = (await send(METHOD.COMMIT, { x: 2, n: 2, a: 0 })) as { error: { data: { outcome: string } } }
    assert.equal(refused.error.data.outcome, 'not-committed')
    assert.deepEqual(await send(METHOD.COMMIT, { x: 2, n: 2, a: 0 }), refused)
    assert.deepEqual(notes(foreign(t, primary.path)), ['a'])
  })

  test('B11: the callback is run again only with retry', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const client = primary.client()
    let runs = 0
    const work = async (tx: { run(sql: string, params: string[]): Promise<unknown> }): Promise<number> => {
      await tx.run(INSERT, [`run ${++runs}`])
      if (runs < 3) {
        primary.coordinator.memberLeft('m')
        await sleep(1)
      }
      return runs
    }
    await assert.rejects(client.transaction(work), code('TRANSACTION_LOST'))
    assert.equal(runs, 1)
    assert.equal(await client.transaction(work, { retry: true }), 3)
    assert.deepEqual(notes(foreign(t, primary.path)), ['run 3'])
  })

  test('A3: a statement that ends the transaction ends it for good', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const client = primary.client()
    await client.run(INSERT, ['taken'])
    await assert.rejects(
      client.transaction(async (tx) => {
        await tx.run(INSERT, ['a'])
        await assert.rejects(tx.run("INSERT OR ROLLBACK INTO note(text) VALUES ('taken')"), code('TRANSACTION_LOST'))
        await assert.rejects(tx.run(INSERT, ['by itself']), code('TRANSACTION_LOST'))
      }),
      code('TRANSACTION_LOST', 'not-committed'),
    )
    await assert.rejects(
      client.transaction((tx) => tx.run('COMMIT')),
      code('INVALID_PARAMS'),
    )
    assert.deepEqual(notes(foreign(t, primary.path)), ['taken'])
  })

  test('a deferred constraint fails at the commit, as CONFLICT; PRAGMA defer_foreign_keys is allowed here', async (t) => {
    const tables = 'CREATE TABLE parent(id INTEGER PRIMARY KEY); CREATE TABLE child(parent REFERENCES parent(id))'
    const primary = await serve(t, freshWorkspace(t), { migrations: [TABLE, tables] })
    const client = primary.client()
    const child = async (parent: boolean): Promise<void> => {
      await client.transaction(async (tx) => {
        await tx.run('PRAGMA defer_foreign_keys = ON')
        await tx.run('INSERT INTO child VALUES (1)')
        if (parent) await tx.run('INSERT INTO parent VALUES (1)')
      })
    }
    await assert.rejects(child(false), code('CONFLICT', 'not-committed'))
    await child(true)
  })

  test('savepoints: what was rolled back to one is gone, what stands around it is committed', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const client = primary.client()
    await client.transaction(async (tx) => {
      await tx.run(INSERT, ['a'])
      await tx.run('SAVEPOINT "one two"')
      await tx.run(INSERT, ['b'])
      await tx.run('savepoint two;')
      await tx.run(INSERT, ['c'])
      await tx.run('ROLLBACK TO SAVEPOINT two')
      await tx.run('RELEASE two')
      await assert.rejects(tx.run('RELEASE two'), code('FAILED', 'not-committed', /two/))
      await tx.run('ROLLBACK TRANSACTION TO "one two"')
      await tx.run(INSERT, ['d'])
      await tx.run('RELEASE SAVEPOINT "one two"')
      for (const sql of ['SAVEPOINT _conclave_write', 'SAVEPOINT a; COMMIT', 'ROLLBACK', 'RELEASE a b', 'SAVEPOINT']) {
        await assert.rejects(tx.run(sql), code('INVALID_PARAMS', 'not-committed'), sql)
      }
      await tx.run('SAVEPOINT left_open')
      await tx.run(INSERT, ['e'])
    })
    await assert.rejects(client.run('SAVEPOINT a'), code('INVALID_PARAMS'))
    assert.deepEqual(notes(foreign(t, primary.path)), ['a', 'd', 'e'])
  })

  test('abort rolls back and rejects at once', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const client = primary.client()
    const stop = new AbortController()
    const held = client.transaction(
      async (tx) => {
        await tx.run(INSERT, ['a'])
        stop.abort(new Error('enough'))
        await new Promise(() => {})
      },
      { signal: stop.signal, timeoutMs: 30_000 },
    )
    await assert.rejects(held, code('ABORTED', 'not-committed'))
    await client.run(INSERT, ['b'])
    assert.deepEqual(notes(foreign(t, primary.path)), ['b'])
    await until(() => primary.coordinator.idle, 'idle')
  })
})
