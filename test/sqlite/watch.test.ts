import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { LocalReader, nodeSqlite, watchQuery, type Feed, type FeedEvent } from '../../src/sqlite/index.ts'
import { tablesRead } from '../../src/sqlite/tables-read.ts'
import { defer, within, type Scope } from '../support/index.ts'
import { connection, foreign, freshWorkspace, serve, TABLE } from './support.ts'

const INSERT = 'INSERT INTO note(text) VALUES (?)'

async function watching(
  t: Scope,
  sql: string,
): Promise<{
  client: ReturnType<Awaited<ReturnType<typeof serve>>['client']>
  rows: AsyncGenerator<readonly { text: string }[]>
  tell: (event: FeedEvent) => void
  stop: AbortController
  path: string
}> {
  const primary = await serve(t, freshWorkspace(t), {
    migrations: [TABLE, 'CREATE TABLE other(x); CREATE VIEW seen AS SELECT text FROM note'],
  })
  const reader = new LocalReader({ driver: await nodeSqlite(), path: primary.path })
  defer(t, () => reader.close())
  const listeners = new Set<(event: FeedEvent) => void>()
  const push = primary.events.push.bind(primary.events)
  const tell = (event: FeedEvent): void => listeners.forEach((listener) => listener(event))
  primary.events.push = (...events) => {
    for (const event of events) tell(event)
    return push(...events)
  }
  const stop = new AbortController()
  const feed: Feed = (listener) => {
    listeners.add(listener)
    return { ready: Promise.resolve(), stop: () => listeners.delete(listener) }
  }
  const rows = watchQuery<{ text: string }>({ reader, feed, sql, signal: stop.signal })
  defer(t, () => stop.abort())
  return { client: primary.client(), rows, tell, stop, path: primary.path }
}

async function next(rows: AsyncGenerator<readonly { text: string }[]>): Promise<string[]> {
  const step = await within(rows.next(), 'rows of the watch')
  assert.equal(step.done, false)
  return (step.value as readonly { text: string }[]).map(({ text }) => text)
}

describe('B20: watches', () => {
  test('B20: rows at once, again when a table they come from changes, and not for another', async (t) => {
    const { client, rows, stop } = await watching(t, 'SELECT text FROM seen ORDER BY text')
    assert.deepEqual(await next(rows), [])
    await client.run(INSERT, ['a'])
    await client.run(INSERT, ['b'])
    assert.deepEqual(await next(rows), ['a', 'b'], 'changes in between are one')
    const later = rows.next()
    await client.run('INSERT INTO other VALUES (1)')
    assert.equal(await Promise.race([later, sleep(30).then(() => 'nothing')]), 'nothing')
    await client.run(INSERT, ['c'])
    assert.equal(((await later).value as unknown[]).length, 3)
    stop.abort()
    assert.equal((await rows.next()).done, true)
  })

  test('B20: a new term, or any resync, reads again', async (t) => {
    const { rows, tell } = await watching(t, 'SELECT text FROM note')
    await next(rows)
    const again = next(rows)
    tell({ type: 'resync', reason: 'term' })
    assert.deepEqual(await again, [])
  })

  test('B20: what nobody told of is found by the version of the file', async (t) => {
    const { rows, path } = await watching(t, 'SELECT text FROM note')
    await next(rows)
    const again = next(rows)
    // The first look may still count what was heard before.
    foreign(t, path).exec("INSERT INTO note(text) VALUES ('foreign')")
    const poke = setInterval(() => foreignWrite(), 700)
    const other = foreign(t, path)
    let n = 0
    const foreignWrite = (): void => other.exec(`INSERT INTO note(text) VALUES ('more ${n++}')`)
    assert.ok((await again).includes('foreign'))
    clearInterval(poke)
  })
})

test('the tables of a query, views resolved; a virtual one means all', async (t) => {
  const db = await connection(t)
  db.exec(
    'CREATE TABLE A(x PRIMARY KEY, y); CREATE TABLE b(x); CREATE VIEW v AS SELECT * FROM A JOIN b USING (x); CREATE INDEX iy ON A(y)',
  )
  assert.deepEqual(tablesRead(db, 'SELECT * FROM v'), new Set(['a', 'b']))
  assert.deepEqual(tablesRead(db, 'SELECT y FROM A ORDER BY y'), new Set(['a']))
  assert.deepEqual(tablesRead(db, 'SELECT 1'), new Set())
  assert.deepEqual(tablesRead(db, 'SELECT * FROM b WHERE x IN (SELECT y FROM A)'), new Set(['a', 'b']))
  assert.equal(tablesRead(db, 'SELECT * FROM json_each(?)'), undefined)
})
