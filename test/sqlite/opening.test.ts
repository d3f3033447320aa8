import assert from 'node:assert/strict'
import { renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { until } from '../support/index.ts'
import { code, foreign, freshWorkspace, notes, serve } from './support.ts'

const INSERT = 'INSERT INTO note(text) VALUES (?)'

test('B8: the term is raised in the file before anything is served, and only upwards', async (t) => {
  const workspace = freshWorkspace(t)
  const first = await serve(t, workspace, { term: 7 })
  assert.equal(first.opened.term, 0)
  const row = foreign(t, first.path).prepare('SELECT term, lock FROM _conclave_term').get()
  assert.deepEqual({ ...row }, { term: 7, lock: 'lock' })
  await first.close()
  await assert.rejects(serve(t, workspace, { term: 7 }), code('STALE_TERM'))
  const second = await serve(t, workspace, { term: 8, lock: 'another' })
  assert.equal(second.opened.term, 7, 'the election learns of it')
})

test('A1: a deposed writer commits nothing: the term stands in each transaction', async (t) => {
  const primary = await serve(t, freshWorkspace(t), { term: 3 })
  const client = primary.client()
  await client.run(INSERT, ['before'])
  foreign(t, primary.path).exec('UPDATE _conclave_term SET term = 4')
  let settled = false
  void client
    .run(INSERT, ['after'])
    .catch(() => {})
    .finally(() => (settled = true))
  await until(() => primary.lost.length > 0, 'the primary to notice')
  assert.equal(primary.lost[0]!.code, 'STALE_TERM')
  assert.equal(settled, false, 'no reply while links may be open')
  primary.coordinator.abandon(primary.lost[0]!)
  await until(() => settled, 'the write to be settled')
  assert.deepEqual(notes(foreign(t, primary.path)), ['before'])
})

for (const [what, lose] of [
  ["the workspace's lock is lost", undefined],
  [
    'the database was deleted',
    (path: string) => ['', '-wal', '-shm'].forEach((end) => rmSync(path + end, { force: true })),
  ],
  ['the database was moved', (path: string) => renameSync(path, `${path}.old`)],
  ['its lock was deleted', (path: string) => rmSync(`${path}-lock`)],
] as const) {
  test(`A1: no commit and no reply once ${what}; what waits settles as unknown`, async (t) => {
    let holds = true
    const primary = await serve(t, freshWorkspace(t), { holdsSeat: () => holds })
    const client = primary.client()
    await client.run(INSERT, ['before'])
    const database = foreign(t, primary.path)
    notes(database)
    if (lose === undefined) holds = false
    else lose(primary.path)
    const write = client.run(INSERT, ['after'])
    const later = client.run(INSERT, ['later'])
    await until(() => primary.lost.length > 0, 'the primary to step down')
    assert.equal(primary.lost[0]!.code, 'LOCK_LOST')
    const transaction = client.transaction(() => Promise.resolve())
    primary.coordinator.abandon(primary.lost[0]!)
    for (const waiting of [write, later]) await assert.rejects(waiting, code('LOCK_LOST', 'unknown'))
    await assert.rejects(transaction, code('LOCK_LOST'))
    assert.deepEqual(notes(database), ['before'])
    assert.equal(primary.lost.length, 1)
  })
}

test('C7: full means synchronous=FULL and fullfsync', async (t) => {
  const workspace = freshWorkspace(t)
  for (const [durability, synchronous] of [
    ['normal', 1],
    ['full', 2],
  ] as const) {
    const primary = await serve(t, workspace, { durability })
    const client = primary.client()
    const { rows } = await client.run<{ synchronous: number }>('PRAGMA synchronous')
    assert.equal(rows[0]!.synchronous, synchronous)
    const mode = await client.run<{ journal_mode: string }>('PRAGMA journal_mode')
    assert.equal(mode.rows[0]!.journal_mode, 'wal')
    await primary.close()
  }
})

test('a file that another program has locked is waited for without blocking the loop, and opening ends with a reason', async (t) => {
  const workspace = freshWorkspace(t)
  const first = await serve(t, workspace)
  const other = foreign(t, first.path)
  await first.close()
  other.exec('BEGIN IMMEDIATE')
  let turns = 0
  const ticking = setInterval(() => turns++, 1)
  const second = serve(t, workspace)
  await until(() => turns > 20, 'the loop to turn')
  other.exec('COMMIT')
  await second
  clearInterval(ticking)
})

test('the file, -wal and -shm are for us alone, and a file that is there keeps its mode', async (t) => {
  const mode = (path: string): number => statSync(path).mode & 0o777
  const primary = await serve(t, freshWorkspace(t))
  await primary.client().run("INSERT INTO note(text) VALUES ('x')")
  for (const suffix of ['', '-wal', '-shm']) assert.equal(mode(`${primary.path}${suffix}`), 0o600, suffix)
  const workspace = freshWorkspace(t)
  writeFileSync(join(workspace.folder, 'theirs.db'), '', { mode: 0o640 })
  const theirs = await serve(t, workspace, { file: 'theirs.db' })
  assert.equal(mode(theirs.path), 0o640)
})
