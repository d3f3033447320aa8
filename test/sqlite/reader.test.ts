import assert from 'node:assert/strict'
import { renameSync } from 'node:fs'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { LocalReader, nodeSqlite, type Driver } from '../../src/sqlite/index.ts'
import { defer, type Scope } from '../support/index.ts'
import { code, foreign, freshWorkspace, serve, type Primary } from './support.ts'

const INSERT = 'INSERT INTO note(text) VALUES (?)'

async function readerOf(t: Scope, { path }: Primary, limits = {}): Promise<LocalReader> {
  const reader = new LocalReader({ driver: await nodeSqlite(), path, limits })
  defer(t, () => reader.close())
  return reader
}

/** Frames in the WAL, and how many of them a checkpoint could move. */
async function checkpoint(t: Scope, primary: Primary): Promise<{ log: number; moved: number }> {
  const database = foreign(t, primary.path)
  const { log, checkpointed } = database.prepare('PRAGMA wal_checkpoint(PASSIVE)').get()!
  database.close()
  return { log: Number(log), moved: Number(checkpointed) }
}

test('a reader sees its own acknowledged writes, whatever it has open', async (t) => {
  const primary = await serve(t, freshWorkspace(t))
  const client = primary.client()
  const reader = await readerOf(t, primary)
  await client.run(INSERT, ['a'])
  const all = reader.prepare<{ text: string }>('SELECT text FROM note ORDER BY id')
  const count = reader.prepare<{ n: number }>('SELECT count(*) AS n FROM note')
  const loop = all.iterate()
  assert.equal(loop.next().value?.text, 'a')
  for (let n = 2; n < 20; n++) {
    await client.run(INSERT, [`n${n}`])
    assert.equal(count.get()!.n, n, 'B9: the open loop keeps its snapshot to itself')
    assert.equal(all.all().length, n)
  }
  assert.deepEqual([...loop], [], 'its own is of before')
})

test('values() gives rows as lists; a library without lists says what to do', async (t) => {
  const primary = await serve(t, freshWorkspace(t))
  await primary.client().run(INSERT, ['a'])
  const reader = await readerOf(t, primary)
  const twice = reader.prepare('SELECT a.id, a.text, b.id, b.text FROM note a, note b WHERE a.id = ?')
  assert.deepEqual(twice.values(1), [[1, 'a', 1, 'a']])
  assert.deepEqual({ ...twice.get(1) }, { id: 1, text: 'a' })
  assert.deepEqual(twice.values(2), [])

  const driver = await nodeSqlite()
  const withoutLists: Driver = {
    ...driver,
    open: (path, options) => {
      const connection = driver.open(path, options)
      const prepare = connection.prepare.bind(connection)
      return Object.assign(connection, {
        prepare: (sql: string) => Object.assign(prepare(sql), { table: () => undefined }),
      })
    },
  }
  const older = new LocalReader({ driver: withoutLists, path: primary.path })
  defer(t, () => older.close())
  const all = older.prepare('SELECT text FROM note')
  assert.equal(all.all().length, 1)
  assert.throws(() => all.values(), code('UNSUPPORTED', undefined, /22\.16/))
})

test('writes, other files and transactions are refused on the reading side', async (t) => {
  const primary = await serve(t, freshWorkspace(t))
  const reader = await readerOf(t, primary)
  for (const sql of [
    INSERT,
    'BEGIN',
    'PRAGMA wal_checkpoint',
    "ATTACH 'x' AS y",
    'SELECT 1; SELECT 2',
    'CREATE TABLE x(a)',
  ]) {
    assert.throws(() => reader.prepare(sql), code('INVALID_PARAMS'), sql)
  }
  assert.throws(() => reader.prepare('SELECT * FROM nowhere'), code('FAILED', undefined, /nowhere/))
  assert.throws(() => reader.prepare('SELECT ?').get(NaN), code('INVALID_PARAMS'))
  // What looks like a read and is none is refused by SQLite itself.
  assert.throws(
    () => reader.prepare("WITH x(a) AS (VALUES ('w')) INSERT INTO note(text) SELECT a FROM x").all(),
    code('FAILED'),
  )
})

describe('B9: snapshots', () => {
  test('B9: an iterator gives its snapshot back at its end, when its loop is left, and when it throws', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const client = primary.client()
    await client.batch(Array.from({ length: 50 }, (_, n) => [INSERT, [`n${n}`]] as const))
    const reader = await readerOf(t, primary)
    const all = reader.prepare<{ id: number }>('SELECT * FROM note')
    const open = all.iterate()
    open.next()
    await client.run(INSERT, ['while open'])
    const pinned = await checkpoint(t, primary)
    assert.ok(pinned.moved < pinned.log, 'an open one pins the WAL')
    open.return?.()
    for (const { id } of all.iterate()) if (id > 3) break
    assert.throws(() => {
      for (const { id } of all.iterate()) if (id > 3) throw new RangeError()
    }, RangeError)
    assert.equal([...all.iterate()].length, 51)
    assert.equal(reader.openIterators, 0)
    await client.run(INSERT, ['after'])
    const { log, moved } = await checkpoint(t, primary)
    assert.equal(moved, log)
  })

  test('B9: at most 4 are open', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    await primary.client().run(INSERT, ['a'])
    const reader = await readerOf(t, primary)
    const all = reader.prepare('SELECT * FROM note')
    const open = Array.from({ length: 4 }, () => all.iterate())
    for (const rows of open) rows.next()
    assert.throws(() => all.iterate().next(), code('OVERLOADED', undefined, /4 iterators/))
    open[2]!.return?.()
    assert.equal([...all.iterate()].length, 1)
  })

  test('B9: one that could not begin leaves no connection behind', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const driver = await nodeSqlite()
    let opened = 0
    const counting: Driver = { ...driver, open: (path, options) => (opened++, driver.open(path, options)) }
    const reader = new LocalReader({ driver: counting, path: primary.path })
    defer(t, () => reader.close())
    const client = primary.client()
    await client.run('CREATE TABLE short(x)')
    const rows = reader.prepare('SELECT * FROM short')
    await client.run('DROP TABLE short')
    for (let n = 0; n < 10; n++) assert.throws(() => rows.iterate().next(), code('FAILED', undefined, /short/))
    assert.equal(opened, 2)
    assert.equal(reader.openIterators, 0)
  })

  test('B9: one that is kept for too long ends with READ_EXPIRED, also when nobody reads on', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const client = primary.client()
    await client.batch([
      [INSERT, ['a']],
      [INSERT, ['b']],
    ])
    const reader = await readerOf(t, primary, { iteratorMs: 20 })
    const rows = reader.prepare('SELECT * FROM note').iterate()
    rows.next()
    await client.run(INSERT, ['c'])
    await sleep(60)
    const { log, moved } = await checkpoint(t, primary)
    assert.equal(moved, log, 'its snapshot is gone before it is asked')
    assert.throws(() => rows.next(), code('READ_EXPIRED', undefined, /LIMIT/))
    assert.equal(reader.openIterators, 0)
  })

  test('B9: the primary can ask for their end', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    await primary.client().batch([
      [INSERT, ['a']],
      [INSERT, ['b']],
    ])
    const reader = await readerOf(t, primary)
    const all = reader.prepare('SELECT * FROM note')
    const rows = all.iterate()
    rows.next()
    reader.endReads()
    assert.throws(() => rows.next(), code('READ_EXPIRED', undefined, /primary/))
    assert.equal([...all.iterate()].length, 2)
  })
})

test('statements live on when the file was replaced and opened anew; a closed reader says so', async (t) => {
  const workspace = freshWorkspace(t)
  const first = await serve(t, workspace)
  await first.client().run(INSERT, ['old'])
  const reader = await readerOf(t, first)
  const all = reader.prepare<{ text: string }>('SELECT text FROM note')
  assert.equal(all.all()[0]?.text, 'old')
  await first.close()
  for (const end of ['', '-wal', '-shm']) {
    try {
      renameSync(first.path + end, `${first.path}.old${end}`)
    } catch {}
  }
  const second = await serve(t, workspace)
  await second.client().run(INSERT, ['new'])
  reader.reopen()
  assert.equal(all.all()[0]?.text, 'new')
  reader.close()
  assert.throws(() => all.all(), code('CLOSED'))
  assert.throws(() => reader.prepare('SELECT 1'), code('CLOSED'))
})
