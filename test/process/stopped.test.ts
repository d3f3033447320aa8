import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { join, type Event } from 'conclave'
import { defer, until, within, workspace } from '../support/index.ts'
import { ask, inspect, member, own, status } from './support.ts'

const limits = { unresponsiveMs: 2000 }

describe('a stopped process', () => {
  test('B2, A14: the primary: callers wait for their deadline, nobody takes over, after SIGCONT work goes on', async (t) => {
    const folder = workspace(t)
    const primary = await member(t, folder, { limits })
    const second = await own(t, folder, { limits })
    const told: string[] = []
    void (async () => {
      for await (const each of second.status()) told.push(each.type === 'primary-lost' ? each.cause : each.type)
    })()
    assert.equal(await second.call('run'), 1)
    await primary.stop()
    const published = second.publish('x', 'while it sleeps')
    const joining = join(folder, { name: 'late' })
    // By turns of our own loop: how long that takes is up to the machine, so deadlines come after it.
    await until(() => told.includes('unresponsive'), 'the primary to count as unresponsive')
    const calls = [1, 2, 3].map((n) => second.call('run', n, { timeoutMs: 1000 }))
    for (const call of calls) {
      await assert.rejects(call, { code: 'PRIMARY_UNRESPONSIVE', outcome: 'unknown', retryable: true })
    }
    assert.equal(second.role, 'secondary')
    const waiting = second.call('echo', 'patient')
    primary.cont()
    assert.equal(await waiting, 'patient')
    assert.ok((await published) > 0)
    const late = await joining
    defer(t, () => late.abort())
    assert.deepEqual([late.role, late.term, second.term], ['secondary', 1, 1])
    assert.equal(await second.call('run'), 2, 'what expired while it was stopped never ran')
    await until(() => told.filter((type) => type === 'primary-found').length === 2, 'it to be told that it is back')
    assert.deepEqual(told, ['role', 'primary-found', 'unresponsive', 'primary-found'])
  })

  test('P4, P3: a secondary: costs the others nothing but its own queue, and is told how many it missed', async (t) => {
    const folder = workspace(t)
    const first = await own(t, folder)
    const sleeper = await member(t, folder, { name: 'sleeper' })
    const other = await own(t, folder, { name: 'other' })
    await ask(sleeper, { subscribe: 'x', maxQueued: 100 })
    const events = other.subscribe('x', { maxQueued: 100_000 })
    await events.ready
    await sleeper.stop()
    const total = 3000
    const data = 'x'.repeat(1000)
    for (let i = 0; i < total; i += 100) {
      await Promise.all(Array.from({ length: 100 }, (_, n) => first.publish('x', n % 2 === 0 ? data : { i: i + n })))
      assert.equal(await other.call('nothing').catch((error: { code: string }) => error.code), 'METHOD_NOT_FOUND')
    }
    for (let i = 0; i < total; i++) assert.equal(((await events.next()).value as Event).missed, 0)
    const queued = (await first.inspect()).links.find(({ member: id }) => id === sleeper.id)!
    assert.ok(queued.queuedEvents <= 100 && queued.dropped > 0, JSON.stringify(queued))
    sleeper.cont()
    await inspect(sleeper)
    await first.publish('x', 'last')
    await sleeper.next(({ item }) => item === 'last')
    const seen = sleeper.messages.filter(({ did }) => did === 'seen')
    const missed = seen.reduce((sum, event) => sum + (event['missed'] as number), 0)
    assert.equal(seen.length + missed, total + 1)
    assert.ok(missed > 0)
  })

  test('a primary that closes does not wait for a member that is stopped; its process ends', async (t) => {
    const folder = workspace(t)
    const primary = await member(t, folder, { name: 'leaves' })
    const sleeper = await member(t, folder, { name: 'sleeper' })
    await sleeper.stop()
    primary.send({ close: true })
    await primary.next(status('closed'))
    primary.letGo()
    assert.deepEqual(await within(primary.exit, 'it to end', 5000), { code: 0, signal: null })
    const next = await own(t, folder)
    assert.equal(next.role, 'primary')
    sleeper.cont()
    await until(async () => (await next.inspect()).members.length === 2, 'the sleeper to be back')
  })
})

describe('a blocked loop', () => {
  test('B1: no false timeout for a call that was answered meanwhile, no false alarm about the primary', async (t) => {
    const folder = workspace(t)
    const primary = await member(t, folder, { limits })
    const caller = await member(t, folder, { limits })
    for (let round = 0; round < 2; round++) {
      const answer = ask(caller, { call: 'later', params: 50, options: { timeoutMs: 1000 } })
      await ask(caller, { call: 'who' })
      caller.send({ block: 1200 })
      assert.equal((await answer)['result'], primary.pid)
    }
    caller.send({ block: 3500 })
    assert.equal((await ask(caller, { call: 'echo', params: 'after' }))['result'], 'after')
    assert.deepEqual(caller.messages.filter(status('primary-lost')), [])
  })

  test('B1: close() of a member that was blocked past its time gives out the answer that came meanwhile', async (t) => {
    const folder = workspace(t)
    const primary = await member(t, folder, { limits })
    const second = await own(t, folder, { limits })
    const answer = second.call('later', 50)
    await second.call('who')
    const closed = second.close({ timeoutMs: 1000 })
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1200)
    assert.equal(await answer, primary.pid)
    await closed
  })

  test('P4: a busy primary delays, and loses nothing', async (t) => {
    const folder = workspace(t)
    const primary = await member(t, folder, { name: 'busy' })
    const second = await own(t, folder)
    const blocked = second.call('block', 500)
    const calls = Array.from({ length: 200 }, (_, i) => second.call('echo', i))
    const seqs = Array.from({ length: 200 }, (_, i) => second.publish('x', i))
    assert.equal(await blocked, 'test')
    assert.deepEqual(
      await Promise.all(calls),
      calls.map((_, i) => i),
    )
    const all = await Promise.all(seqs)
    assert.deepEqual(
      all,
      all.toSorted((a, b) => a - b),
    )
    assert.equal((await inspect(primary)).members.length, 2)
  })
})
