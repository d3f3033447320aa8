import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  nodeSqlite,
  type Connection,
  type Driver,
  type Procedure,
  type Procedures,
  type Tx,
} from '../../src/sqlite/index.ts'
import { CAREFUL_GROUPS, MAX_RESULT_BYTES } from '../../src/sqlite/limits.ts'
import { METHOD } from '../../src/sqlite/protocol.ts'
import { ask, code, foreign, freshWorkspace, notes, now, serve, TABLE, timeless } from './support.ts'

const INSERT = 'INSERT INTO note(text) VALUES (?)'

function procedures(given: Record<string, (tx: Tx, params: never) => unknown>): Procedures {
  return new Map(Object.entries(given) as [string, Procedure][])
}

/** Writes of several members that commit together, as far as they do. */
async function together(writes: readonly (() => Promise<unknown>)[]): Promise<(string | true)[]> {
  const settled = await Promise.allSettled(writes.map((write) => write()))
  return settled.map((end) => (end.status === 'fulfilled' ? true : (end.reason as { code: string }).code))
}

test('writes that arrive together commit together, and one that fails rolls back alone', async (t) => {
  const primary = await serve(t, freshWorkspace(t, timeless()))
  const client = primary.client()
  await client.run(INSERT, ['taken'])
  const { groups } = primary.coordinator.counters
  const ends = await together(['a', 'taken', 'b'].map((text) => () => client.run(INSERT, [text])))
  assert.deepEqual(ends, [true, 'CONFLICT', true])
  assert.equal(primary.coordinator.counters.groups, groups + 1)
  assert.deepEqual(notes(foreign(t, primary.path)), ['taken', 'a', 'b'])
})

test('a statement that keeps its first rows when it fails (OR FAIL) keeps none', async (t) => {
  const primary = await serve(t, freshWorkspace(t))
  const client = primary.client()
  await client.run(INSERT, ['taken'])
  await assert.rejects(client.run("INSERT OR FAIL INTO note(text) VALUES ('x'), ('taken')"), code('CONFLICT'))
  const batch = client.batch([
    [INSERT, ['y']],
    [INSERT, ['taken']],
  ])
  await assert.rejects(batch, code('CONFLICT', 'not-committed'))
  assert.deepEqual(notes(foreign(t, primary.path)), ['taken'])
})

test('CAREFUL_GROUPS: what shares a group with the first failure runs again, later ones once', async (t) => {
  let runs = 0
  const given = procedures({
    add: (tx, text: string) => {
      runs++
      tx.prepare(INSERT).run(text)
    },
  })
  const primary = await serve(t, freshWorkspace(t, timeless()), { procedures: given })
  const client = primary.client()
  await client.run(INSERT, ['taken'])
  const both = (text: string) => together([() => client.call('add', text), () => client.run(INSERT, ['taken'])])
  assert.deepEqual(await both('a'), [true, 'CONFLICT'])
  assert.equal(runs, 2)
  assert.deepEqual(await both('b'), [true, 'CONFLICT'])
  assert.equal(runs, 3)
  for (let n = 0; n < CAREFUL_GROUPS; n++) await client.run(INSERT, [`n${n}`])
  assert.deepEqual(await both('c'), [true, 'CONFLICT'])
  assert.equal(runs, 5)
  const text = notes(foreign(t, primary.path)).filter((each) => !/^n\d/.test(String(each)))
  assert.deepEqual(text, ['taken', 'a', 'b', 'c'])
})

describe('A3: the group ends behind the coordinator', () => {
  const MIGRATIONS = [
    TABLE,
    `CREATE TABLE bomb(x); CREATE TRIGGER boom BEFORE INSERT ON bomb BEGIN SELECT RAISE(ROLLBACK, 'boom'); END;
     CREATE TABLE parent(id INTEGER PRIMARY KEY);
     CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED);`,
  ]
  const given = procedures({
    swallow: (tx) => {
      tx.prepare(INSERT).run('from swallow')
      try {
        tx.exec('INSERT INTO bomb VALUES (1)')
      } catch {}
    },
    goOn: (tx) => {
      try {
        tx.exec('INSERT INTO bomb VALUES (1)')
      } catch {}
      tx.prepare(INSERT).run('by itself')
    },
  })
  const bombs: Record<string, (client: ReturnType<Awaited<ReturnType<typeof serve>>['client']>) => Promise<unknown>> = {
    'INSERT OR ROLLBACK': (client) => client.run("INSERT OR ROLLBACK INTO note(text) VALUES ('a')"),
    'RAISE(ROLLBACK)': (client) => client.run('INSERT INTO bomb VALUES (1)'),
    'a batch': (client) =>
      client.batch([[INSERT, ['in batch']], ['INSERT INTO bomb VALUES (1)'], [INSERT, ['behind']]]),
    'a procedure that swallows it': (client) => client.call('swallow', undefined),
    'a procedure that goes on': (client) => client.call('goOn', undefined),
    'a deferred foreign key, found at COMMIT': (client) => client.run('INSERT INTO child(parent) VALUES (99)'),
  }
  for (const [what, bomb] of Object.entries(bombs)) {
    test(`A3: ${what}: the others are repeated, each alone, and nothing runs by itself`, async (t) => {
      const primary = await serve(t, freshWorkspace(t), { migrations: MIGRATIONS, procedures: given })
      const [one, two] = [primary.client('one'), primary.client('two')]
      await Promise.all([one.run('SELECT 1'), two.run('SELECT 1')])
      const ends = await together([
        () => one.run(INSERT, ['a']),
        () => two.run(INSERT, ['b']),
        () => bomb(one),
        () => two.run(INSERT, ['c']),
        () => one.run(INSERT, ['d']),
      ])
      assert.equal(ends.filter((end) => end === true).length, 4)
      assert.ok(['CONFLICT', 'TRANSACTION_LOST'].includes(String(ends[2])), String(ends[2]))
      const database = foreign(t, primary.path)
      assert.deepEqual(notes(database).sort(), ['a', 'b', 'c', 'd'])
      assert.equal(database.prepare('SELECT count(*) AS n FROM child').get()?.['n'], 0)
      // The failure is stored like any outcome: a repeat of it does not run again.
      await one.run(INSERT, ['e'])
    })
  }
})

test('A3: a full disk fails the write that meets it, and the others are repeated', async (t) => {
  let connection: Connection | undefined
  const driver = async (): Promise<Driver> => {
    const real = await nodeSqlite()
    return { ...real, open: (path, options) => (connection = real.open(path, options)) }
  }
  const primary = await serve(t, freshWorkspace(t), { driver })
  const [one, two] = [primary.client('one'), primary.client('two')]
  await Promise.all([one.run(INSERT, ['before']), two.run('SELECT 1')])
  const pages = Number(connection!.prepare('PRAGMA page_count').get([])!['page_count'])
  connection!.exec(`PRAGMA max_page_count = ${pages + 4}`)
  const ends = await together([
    () => one.run(INSERT, ['a']),
    () => two.run('INSERT INTO note(text) VALUES (hex(randomblob(50000)))'),
    () => one.run(INSERT, ['b']),
  ])
  assert.deepEqual(ends, [true, 'FAILED', true])
  connection!.exec(`PRAGMA max_page_count = ${2 ** 30}`)
  await two.run(INSERT, ['c'])
  assert.deepEqual(notes(foreign(t, primary.path)), ['before', 'a', 'b', 'c'])
})

describe('A4: procedures are synchronous', () => {
  test('A4: one that returns a promise is rolled back, and its tx is dead', async (t) => {
    let late: unknown
    const given = procedures({
      slow: async (tx) => {
        tx.prepare(INSERT).run('first half')
        await Promise.resolve()
        try {
          tx.prepare(INSERT).run('second half')
        } catch (error) {
          late = error
        }
      },
      thenable: (tx) => {
        tx.prepare(INSERT).run('then')
        // oxlint-disable-next-line unicorn/no-thenable
        return { then: (): void => {} }
      },
    })
    const primary = await serve(t, freshWorkspace(t), { procedures: given })
    const client = primary.client()
    await client.run('SELECT 1')
    const ends = await together([
      () => client.run(INSERT, ['a']),
      () => client.call('slow', undefined),
      () => client.call('thenable', undefined),
      () => client.run(INSERT, ['b']),
    ])
    assert.deepEqual(ends, [true, 'ASYNC_PROCEDURE', 'ASYNC_PROCEDURE', true])
    assert.ok(code('CLOSED')(late))
    assert.deepEqual(notes(foreign(t, primary.path)), ['a', 'b'])
  })

  test('A4: what a procedure kept of its tx is dead after it returned; loops it left open are closed', async (t) => {
    const kept: { statement?: ReturnType<Tx['prepare']>; rows?: IterableIterator<unknown>; tx?: Tx } = {}
    const given = procedures({
      keep: (tx) => {
        kept.tx = tx
        kept.statement = tx.prepare(INSERT)
        tx.prepare(INSERT).run('a')
        kept.rows = tx.prepare("INSERT INTO note(text) VALUES ('r1'), ('r2') RETURNING text").iterate()
        kept.rows.next()
      },
    })
    const primary = await serve(t, freshWorkspace(t), { procedures: given })
    await primary.client().call('keep', undefined)
    assert.throws(() => kept.statement!.run('b'), code('CLOSED'))
    assert.throws(() => kept.tx!.exec('SELECT 1'), code('CLOSED'))
    assert.throws(() => kept.rows!.next(), code('CLOSED'))
    assert.deepEqual(notes(foreign(t, primary.path)), ['a', 'r1', 'r2'])
  })

  test('A4: one that throws leaves nothing, and its error arrives', async (t) => {
    const given = procedures({
      fail: (tx) => {
        tx.prepare(INSERT).run('x')
        throw Object.assign(new RangeError('no more beds'), { code: 'FULL', data: { beds: 0 } })
      },
      bad: () => 5n,
      bytes: () => new Uint8Array(3),
      row: (tx) => tx.prepare("SELECT x'00ff' AS bytes").get(),
      buffers: () => [{ of: Buffer.from('a') }],
      guarded: (tx) => tx.exec('INSERT INTO note(text) VALUES (1); COMMIT'),
      prepared: (tx) => tx.prepare('/* */ END').run(),
      twoAtOnce: (tx) => {
        tx.exec("INSERT INTO note(text) VALUES ('p'), ('q')")
        const all = tx.prepare<{ text: string }>('SELECT text FROM note ORDER BY id')
        return [...all.iterate()].flatMap(({ text }) => all.all().map((row) => text + row.text))
      },
    })
    const primary = await serve(t, freshWorkspace(t), { procedures: given })
    const client = primary.client()
    await assert.rejects(
      client.call('fail', undefined),
      (error: { reason: string; data: unknown; outcome: string }) => {
        assert.deepEqual([error.reason, error.data, error.outcome], ['FULL', { beds: 0 }, 'not-committed'])
        return true
      },
    )
    for (const name of ['bad', 'bytes', 'row', 'buffers'])
      await assert.rejects(client.call(name, undefined), code('INVALID_RESULT', 'not-committed'))
    for (const name of ['guarded', 'prepared'])
      await assert.rejects(client.call(name, undefined), code('INVALID_PARAMS', 'not-committed'))
    for (const name of ['none', '__proto__', 'constructor']) {
      await assert.rejects(client.call(name, undefined), code('METHOD_NOT_FOUND', 'not-committed', /fail, bad/))
    }
    assert.deepEqual(notes(foreign(t, primary.path)), [])
    assert.deepEqual(await client.call('twoAtOnce', undefined), ['pp', 'pq', 'qp', 'qq'])
  })
})

test('results: rows of RETURNING, changes, large integers, and a bound', async (t) => {
  const primary = await serve(t, freshWorkspace(t))
  const client = primary.client()
  await client.run('CREATE TABLE big(id INTEGER PRIMARY KEY, v)')
  const made = await client.run('INSERT INTO big(id, v) VALUES (?, ?), (?, ?) RETURNING id, v', [
    2n ** 60n,
    new Uint8Array([7]),
    1,
    null,
  ])
  assert.deepEqual(
    made.rows.map((row) => ({ ...row })),
    [
      { id: 2n ** 60n, v: new Uint8Array([7]) },
      { id: 1, v: null },
    ],
  )
  assert.deepEqual([made.changes, made.lastInsertRowid], [2, 1])
  assert.equal((await client.run('INSERT INTO big(id) VALUES (?)', [2n ** 61n])).lastInsertRowid, 2n ** 61n)
  assert.equal((await client.run('UPDATE big SET v = 1')).changes, 3)
  assert.equal((await client.run('SELECT * FROM big')).changes, 0)
  for (const sql of ['CREATE TABLE other(x)', 'REINDEX', 'ANALYZE', 'PRAGMA user_version = 1']) {
    assert.equal((await client.run(sql)).changes, 0, `${sql}: those of the statement before are not its own`)
    await client.run('UPDATE big SET v = 1')
  }
  assert.equal((await client.run('DELETE FROM big WHERE id = 5 RETURNING id')).changes, 0)
  const huge = client.run('INSERT INTO big(v) VALUES (?) RETURNING v', ['x'.repeat(MAX_RESULT_BYTES)])
  await assert.rejects(huge, code('TOO_LARGE', 'not-committed'))
  assert.equal((await client.run<{ n: number }>('SELECT count(*) AS n FROM big')).rows[0]!.n, 3)
})

test('a procedure, too, is told only the changes of its own statement', async (t) => {
  const given = procedures({
    upkeep: (tx) => {
      tx.prepare('CREATE TABLE big(v)').run()
      tx.prepare('INSERT INTO big VALUES (1), (2), (3)').run()
      return ['REINDEX', 'ANALYZE', 'CREATE TABLE other(x)', 'PRAGMA user_version = 1', 'UPDATE big SET v = 4'].map(
        (sql) => tx.prepare(sql).run().changes,
      )
    },
  })
  const primary = await serve(t, freshWorkspace(t), { procedures: given })
  assert.deepEqual(await primary.client().call('upkeep', undefined), [0, 0, 0, 0, 3])
})

test('a foreign write is noticed', async (t) => {
  const primary = await serve(t, freshWorkspace(t))
  const client = primary.client()
  await client.run(INSERT, ['a'])
  assert.equal(primary.foreignWrites, 0)
  foreign(t, primary.path).exec("INSERT INTO note(text) VALUES ('foreign')")
  await client.run(INSERT, ['b'])
  await client.run(INSERT, ['c'])
  assert.equal(primary.foreignWrites, 1)
  assert.ok(primary.events.some((event) => event.type === 'resync' && event.reason === 'foreign'))
})

test('B20: a foreign write is noticed while nobody else writes, and in a transaction after it', async (t) => {
  const primary = await serve(t, freshWorkspace(t))
  const client = primary.client()
  await client.transaction((tx) => tx.run(INSERT, ['a']))
  primary.events.length = 0
  await primary.coordinator.look()
  assert.deepEqual([primary.foreignWrites, primary.events], [0, []])
  const other = foreign(t, primary.path)
  other.exec("INSERT INTO note(text) VALUES ('foreign')")
  await primary.coordinator.look()
  assert.equal(primary.foreignWrites, 1)
  assert.deepEqual(primary.events, [{ type: 'resync', reason: 'foreign' }])
  primary.events.length = 0
  other.exec('CREATE TABLE later(id INTEGER PRIMARY KEY)')
  await client.transaction(async (tx) => {
    await tx.run(INSERT, ['b'])
    await primary.coordinator.look()
    assert.deepEqual(primary.events, [], 'what is not committed is not told')
  })
  assert.deepEqual(primary.events, [{ type: 'resync', reason: 'foreign' }])
  await client.run('INSERT INTO later DEFAULT VALUES')
  assert.deepEqual(primary.events.at(-1), { type: 'changed', table: 'later', operation: 'insert', count: 1, keys: [1] })
})

test('A6: what a procedure returned is its program’s to change; what is remembered of it stays', async (t) => {
  const made: Record<string, unknown>[] = []
  const given = procedures({
    make: () => {
      const job = { id: made.length }
      made.push(job)
      return job
    },
  })
  const primary = await serve(t, freshWorkspace(t), { procedures: given })
  const write = (member: string, n: number, more: object): Promise<unknown> =>
    ask(
      primary.coordinator,
      METHOD.WRITE,
      { w: member, a: 0, s: [{ n, ...more }] },
      { member, deadline: now() + 60_000 },
    )
  for (const w of ['a', 'b']) {
    await ask(primary.coordinator, METHOD.OPEN, { w }, { member: w, deadline: now() + 60_000 })
  }
  const first = await write('a', 1, { call: 'make' })
  made[0]!['self'] = made[0]
  made[0]!['id'] = 'another'
  primary.coordinator.memberLeft('a')
  assert.deepEqual(await write('b', 1, { sql: INSERT, params: ['x'] }), { ok: [{ ok: [1, 1] }] })
  assert.deepEqual(await write('a', 1, { call: 'make' }), first)
})
