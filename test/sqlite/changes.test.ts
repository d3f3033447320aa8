import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { feedFromWire, feedToWire, type FeedEvent, type Procedure } from '../../src/sqlite/index.ts'
import { MAX_CHANGED_KEYS, MAX_CHANGES } from '../../src/sqlite/limits.ts'
import { code, foreign, freshWorkspace, json, serve, timeless, type Primary } from './support.ts'

const TABLES = `
CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT UNIQUE);
CREATE TABLE pair(a TEXT, b INTEGER, v, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE plain(x);
CREATE TABLE "odd ""name"(k BLOB PRIMARY KEY);
CREATE TABLE child(id INTEGER PRIMARY KEY, note REFERENCES note(id) ON DELETE CASCADE);
CREATE TABLE log(id INTEGER PRIMARY KEY, said TEXT);
CREATE TRIGGER logging AFTER UPDATE ON plain BEGIN INSERT INTO log(said) VALUES ('changed'); END;
`

async function feed(
  t: Parameters<typeof serve>[0],
  procedures?: ReadonlyMap<string, Procedure>,
): Promise<{ primary: Primary; of: (write: Promise<unknown>) => Promise<unknown[]> }> {
  const primary = await serve(t, freshWorkspace(t, timeless()), {
    migrations: [TABLES],
    ...(procedures === undefined ? {} : { procedures }),
  })
  const of = async (write: Promise<unknown>): Promise<unknown[]> => {
    primary.events.length = 0
    await write
    return primary.events.map((event) =>
      event.type === 'resync' ? `resync ${event.reason}` : [event.operation, event.table, event.count, event.keys],
    )
  }
  return { primary, of }
}

describe('C10: the change feed', () => {
  test('C10: what ran before a procedure that fails is told, what the procedure did is not', async (t) => {
    const fails = (tx: Parameters<Procedure>[0]): never => {
      tx.exec("INSERT INTO plain VALUES (1); INSERT INTO note(text) VALUES ('gone')")
      throw new Error('no')
    }
    const { primary, of } = await feed(t, new Map<string, Procedure>([['fails', fails]]))
    const client = primary.client()
    await client.run('SELECT 1')
    const before = client.run("INSERT INTO note(text) VALUES ('a')")
    const failed = assert.rejects(client.call('fails', undefined))
    const after = client.run("INSERT INTO note(text) VALUES ('b')")
    assert.deepEqual(await of(Promise.all([before, failed, after])), [['insert', 'note', 2, [1, 2]]])
  })

  test('C10: tables always, keys where there is a primary key', async (t) => {
    const { primary, of } = await feed(t)
    const client = primary.client()
    assert.deepEqual(primary.events, [{ type: 'resync', reason: 'term' }], 'B20: a new term says resync')
    await client.run('SELECT 1')
    assert.deepEqual(await of(client.run("INSERT INTO note(text) VALUES ('a'), ('b')")), [
      ['insert', 'note', 2, [1, 2]],
    ])
    const [[operation, table, count, keys] = []] = (await of(client.run('UPDATE note SET id = id + 10'))) as unknown[][]
    assert.deepEqual([operation, table, count], ['update', 'note', 2])
    assert.deepEqual(
      (keys as number[]).sort((a, b) => a - b),
      [1, 2, 11, 12],
      'the old keys and the new ones',
    )
    assert.deepEqual(await of(client.run("INSERT INTO pair VALUES ('x', 1, 0), ('x', 2, 0)")), [
      [
        'insert',
        'pair',
        2,
        [
          ['x', 1],
          ['x', 2],
        ],
      ],
    ])
    assert.deepEqual(await of(client.run('INSERT INTO plain VALUES (1)')), [['insert', 'plain', 1, undefined]])
    assert.deepEqual(await of(client.run('UPDATE plain SET x = 2')), [
      ['update', 'plain', 1, undefined],
      ['insert', 'log', 1, [1]],
    ])
    const bytes = new Uint8Array([1, 2])
    assert.deepEqual(await of(client.run('INSERT INTO "odd ""name" VALUES (?)', [bytes])), [
      ['insert', 'odd "name', 1, [bytes]],
    ])
    assert.deepEqual(await of(client.run('INSERT INTO note(id) VALUES (?)', [2n ** 60n])), [
      ['insert', 'note', 1, [2n ** 60n]],
    ])
    assert.deepEqual(await of(client.run('SELECT * FROM note')), [])
    assert.deepEqual(await of(client.run('UPDATE note SET text = 1 WHERE id = 999')), [])
  })

  test('C10: cascades count, and what was rolled back does not', async (t) => {
    const { primary, of } = await feed(t)
    const client = primary.client()
    await client.batch([["INSERT INTO note VALUES (1, 'a'), (2, 'b')"], ['INSERT INTO child VALUES (7, 1)']])
    const events = await of(client.run('DELETE FROM note WHERE id = 1'))
    assert.deepEqual(events.map(String).sort(), ['delete,child,1,7', 'delete,note,1,1'])
    const failing = [
      client.run('INSERT INTO plain VALUES (1)'),
      client.batch([["INSERT INTO pair VALUES ('p', 1, 1)"], ["INSERT INTO note VALUES (2, 'x')"]]),
    ]
    assert.deepEqual(await of(Promise.allSettled(failing)), [['insert', 'plain', 1, undefined]])
    const thrown = client.transaction(async (tx) => {
      await tx.run('INSERT INTO plain VALUES (2)')
      throw new RangeError()
    })
    assert.deepEqual(await of(thrown.catch(() => {})), [])
    const transaction = client.transaction(async (tx) => {
      await tx.run('INSERT INTO plain VALUES (2)')
      await assert.rejects(tx.run("INSERT INTO note VALUES (2, 'x')"))
      await tx.run("INSERT INTO pair VALUES ('p', 2, 1)")
    })
    assert.deepEqual(await of(transaction), [
      ['insert', 'plain', 1, undefined],
      ['insert', 'pair', 1, [['p', 2]]],
    ])
  })

  test('C10: past a bound keys are left out, and past another there is one resync', async (t) => {
    const many: [string, Procedure][] = [
      [
        'tables',
        (tx) => {
          for (let n = 0; n <= MAX_CHANGES; n++) tx.exec(`INSERT INTO t${n} VALUES (1)`)
        },
      ],
    ]
    const { primary, of } = await feed(t, new Map(many))
    const client = primary.client()
    const insert = (count: number): Promise<unknown> =>
      client.run(
        `WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < ${count}) INSERT INTO note(text) SELECT random() FROM n`,
      )
    const [[, , count, keys] = []] = (await of(insert(MAX_CHANGED_KEYS))) as unknown[][]
    assert.deepEqual([count, (keys as unknown[]).length], [MAX_CHANGED_KEYS, MAX_CHANGED_KEYS])
    assert.deepEqual(await of(insert(MAX_CHANGED_KEYS + 1)), [['insert', 'note', MAX_CHANGED_KEYS + 1, undefined]])
    const create = client.batch(Array.from({ length: MAX_CHANGES + 1 }, (_, n) => [`CREATE TABLE t${n}(x)`] as const))
    assert.deepEqual(await of(create), ['resync schema'])
    assert.deepEqual(await of(client.call('tables', undefined)), ['resync many'])
  })

  test('C10: it follows the schema: tables made, renamed, dropped, by us and by others', async (t) => {
    const { primary, of } = await feed(t)
    const client = primary.client()
    assert.deepEqual(
      await of(client.batch([['CREATE TABLE made(id INTEGER PRIMARY KEY, x)'], ['INSERT INTO made VALUES (1, 1)']])),
      ['resync schema'],
    )
    assert.deepEqual(await of(client.run('INSERT INTO made VALUES (2, 1)')), [['insert', 'made', 1, [2]]])
    await client.batch([
      ['ALTER TABLE made RENAME TO renamed'],
      ['ALTER TABLE renamed RENAME COLUMN id TO key'],
      ['ALTER TABLE renamed DROP COLUMN x'],
    ])
    assert.deepEqual(await of(client.run('INSERT INTO renamed VALUES (3)')), [['insert', 'renamed', 1, [3]]])
    await client.batch([['DROP TABLE renamed'], ['CREATE TABLE renamed(a, b, PRIMARY KEY (b, a))']])
    assert.deepEqual(await of(client.run('INSERT INTO renamed VALUES (1, 2)')), [['insert', 'renamed', 1, [[2, 1]]]])
    await assert.rejects(client.batch([['DROP TABLE renamed'], ['SELECT * FROM nowhere']]))
    assert.deepEqual(await of(client.run('DELETE FROM renamed')), [['delete', 'renamed', 1, [[2, 1]]]])
    foreign(t, primary.path).exec('CREATE TABLE foreign_one(id INTEGER PRIMARY KEY)')
    assert.deepEqual(await of(client.run('SELECT 1')), ['resync foreign'])
    assert.deepEqual(await of(client.run('INSERT INTO foreign_one VALUES (5)')), [['insert', 'foreign_one', 1, [5]]])
  })

  test('C10: a virtual table counts when a statement names it, or a trigger feeds it', async (t) => {
    const { primary, of } = await feed(t)
    const client = primary.client()
    try {
      await client.run('CREATE VIRTUAL TABLE search USING fts5(text)')
    } catch {
      t.skip('this SQLite has no fts5')
      return
    }
    assert.deepEqual(await of(client.run("INSERT INTO search VALUES ('a')")), [['update', 'search', 1, undefined]])
    await client.run('CREATE TRIGGER feed AFTER INSERT ON note BEGIN INSERT INTO search VALUES (new.text); END')
    const events = await of(client.run("INSERT INTO note(text) VALUES ('b')"))
    assert.deepEqual(events.map(String).sort(), ['insert,note,1,1', 'update,search,1,'])
  })

  test('C10: keys survive JSON', () => {
    const event: FeedEvent = {
      type: 'changed',
      table: 'a',
      operation: 'update',
      count: 2,
      keys: [2n ** 60n, [new Uint8Array([1]), 'x'], 5],
    }
    assert.deepEqual(feedFromWire(json(feedToWire(event))), event)
    const bare = feedFromWire(json(feedToWire({ ...event, keys: undefined })))
    assert.deepEqual(bare, { ...event, keys: undefined })
    assert.deepEqual(feedFromWire({ type: 'resync', reason: 'many' }), { type: 'resync', reason: 'many' })
    assert.throws(() => feedFromWire(null), code('INVALID_PARAMS'))
  })
})
