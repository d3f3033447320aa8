import assert from 'node:assert/strict'
import { test } from 'node:test'
import { workspace } from '../support/index.ts'
import { ask, member, own, status } from '../process/support.ts'

/** For how long a loop is blocked. The times of the library shrink with it; 10,000 and more is what the trap says. */
const BLOCK_MS = Number(process.env['CONCLAVE_TEST_BLOCK_MS'] ?? 2500)
const limits = { unresponsiveMs: Math.min(5000, BLOCK_MS / 2), handshakeTimeoutMs: Math.min(5000, BLOCK_MS / 2) }

test('a primary whose loop is blocked delays everybody, keeps its seat, and loses nothing', async (t) => {
  const folder = workspace(t)
  const primary = await member(t, folder, { limits })
  const second = await own(t, folder, { limits })
  const causes: unknown[] = []
  void (async () => {
    for await (const each of second.status()) if (each.type === 'primary-lost') causes.push(each.cause)
  })()
  const events = second.subscribe('load')
  await events.ready
  primary.send({ block: BLOCK_MS })
  const late = member(t, folder, { limits })
  const calls = Array.from({ length: 50 }, (_, i) => second.call('echo', i, { timeoutMs: BLOCK_MS + 60_000 }))
  const published = Array.from({ length: 50 }, (_, i) => second.publish('load', i))
  assert.deepEqual(
    await Promise.all(calls),
    calls.map((_, i) => i),
  )
  await Promise.all(published)
  for (let i = 0; i < 50; i++) assert.equal((await events.next()).value?.data, i)
  assert.equal((await late).role, 'secondary', 'who came meanwhile found it')
  assert.deepEqual([second.role, second.term, second.primary?.id], ['secondary', 1, primary.id])
  // Told within two or three seconds, so a short block may pass untold; nothing worse is ever said.
  assert.ok(BLOCK_MS < 10_000 || causes.length > 0)
  assert.deepEqual(
    causes,
    causes.map(() => 'unresponsive'),
  )
})

test('a secondary whose loop is blocked is not thrown out, takes no answer for late, and accuses nobody', async (t) => {
  const folder = workspace(t)
  const primary = await member(t, folder, { limits })
  const second = await member(t, folder, { limits })
  const other = await own(t, folder, { limits })
  await ask(second, { subscribe: 'load' })
  const answer = ask(second, { call: 'later', params: 20, options: { timeoutMs: BLOCK_MS / 2 } })
  await ask(second, { call: 'who' })
  second.send({ block: BLOCK_MS })
  for (let i = 0; i < 50; i++) await other.publish('load', `item ${i}`)
  assert.equal((await answer)['result'], primary.pid)
  for (let i = 0; i < 50; i++) {
    const seen = await second.next((message) => message['did'] === 'seen')
    assert.deepEqual([seen['item'], seen['missed']], [`item ${i}`, 0])
  }
  assert.deepEqual(second.messages.filter(status('primary-lost')), [])
  assert.equal((await other.inspect()).members.length, 3)
})
