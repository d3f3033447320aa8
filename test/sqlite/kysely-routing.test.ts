import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isRead } from '../../src/sqlite/is-read.ts'
import { MAX_STATEMENTS } from '../../src/sqlite/limits.ts'
import { RoutedReads } from '../../src/sqlite/routed-reads.ts'
import { code, freshWorkspace, serve } from './support.ts'
import { standIn } from './kysely-stand-in.ts'

test('what only reads is known by its words', () => {
  for (const sql of [
    'select 1',
    ' /* insert */ -- delete\n Select * from note',
    'VALUES (1), (2)',
    'with a as (select 1) select * from a',
    'WITH a(x, y) AS MATERIALIZED (SELECT (1), (2)), "update" AS (VALUES (1)) SELECT * FROM a',
    'with recursive replace as (select 1) values (2)',
    'explain query plan select 1',
    'pragma table_info(note)',
    'PRAGMA user_version',
  ]) {
    assert.equal(isRead(sql), true, sql)
  }
  for (const sql of [
    '',
    'insert into note(text) values (1)',
    'replace into note(text) select 1',
    'update note set text = 1 returning *',
    'with a as (select 1) insert into note select * from a',
    'with a(x) as (values (1)), b as not materialized (select (1)) delete from note',
    'with a as (select ")" from note) update note set text = 1',
    'create table a as select 1',
    'explain delete from note',
    'pragma user_version = 3',
    'pragma wal_checkpoint',
    'begin',
    'with',
    'sleect 1',
  ]) {
    assert.equal(isRead(sql), false, sql)
  }
})

test('reads are prepared once, and those not used for longest are forgotten', async (t) => {
  const primary = await serve(t, freshWorkspace(t))
  const member = await standIn(t, primary)
  const reads = new RoutedReads(member.db.read)
  const used = reads.get('SELECT text FROM note')
  for (let n = 0; n < 2 * MAX_STATEMENTS; n++) {
    assert.deepEqual(reads.get(`SELECT ${n} AS n`)?.get(), Object.assign(Object.create(null), { n }))
    assert.equal(reads.get('SELECT text FROM note'), used)
  }
  const before = member.prepared.length
  reads.get('SELECT 0 AS n')
  assert.equal(member.prepared.length, before + 1, 'it was forgotten')
  assert.equal(reads.get('DELETE FROM note'), undefined)
  assert.throws(() => reads.get('SELECT * FROM nowhere'), code('FAILED'))
})
