import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LocalReader, nodeSqlite } from '../../src/sqlite/index.ts'
import { freshWorkspace, serve } from './support.ts'

test('smoke', async (t) => {
  const primary = await serve(t, freshWorkspace(t), { procedures: new Map([['add', (tx: any, p: any) => Number(tx.prepare('insert into note(text) values (?)').run(p.text).lastInsertRowid)]]) })
  const a = primary.client('a')
  console.log(await a.run('insert into note(text) values (?) returning *', ['x']))
  console.log(await a.call('add', { text: 'y' }))
  await assert.rejects(a.run('insert into note(text) values (?)', ['x']), (e: any) => (console.log(e.code, e.message, e.outcome, e.data), true))
  console.log(await a.transaction(async (tx) => { await tx.run("insert into note(text) values ('z')"); return (await tx.run('select * from note')).rows.length }))
  const reader = new LocalReader({ driver: await nodeSqlite(), path: primary.path })
  console.log(reader.prepare('select * from note').all())
  console.log(JSON.stringify(primary.events))
  const N = 20000
  for (const inFlight of [1, 32, 1000]) {
    const s = performance.now()
    let i = 0
    await Promise.all(Array.from({ length: inFlight }, async () => { while (i < N) { const n = i++; await a.run('insert into note(text) values (?)', [`b${inFlight}-${n}`]) } }))
    console.log(inFlight, ((performance.now() - s) * 1000) / N, 'us', primary.coordinator.counters)
  }
  reader.close()
})
