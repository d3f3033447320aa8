import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Snapshot } from 'conclave'
import { History, until, workspace, type Program } from '../support/index.ts'
import { ask, inspect, member, own, record, type Joined } from './support.ts'

/** Everybody agrees who serves. @returns that one */
async function oneOf(members: readonly Joined[]): Promise<Joined> {
  const primaries = await Promise.all(members.map(async (each) => (await inspect(each)).primary.id))
  assert.equal(new Set(primaries).size, 1)
  const primary = members.find(({ id }) => id === primaries[0])
  assert.ok(primary !== undefined)
  return primary
}

function acknowledged({ messages }: Program): number {
  return messages.filter(({ did }) => did === 'acknowledged').length
}

async function ends(programs: readonly Program[]): Promise<Record<string, number>> {
  const total: Record<string, number> = {}
  for (const program of programs) {
    program.send({ stop: true })
    const { loaded } = await program.next<{ loaded: Record<string, number> }>((message) => 'loaded' in message)
    for (const [name, count] of Object.entries(loaded)) total[name] = (total[name] ?? 0) + count
  }
  return total
}

describe('real processes', () => {
  test('P1: of five that join at once one is primary, and all agree who', async (t) => {
    const folder = workspace(t)
    const members = await Promise.all(Array.from({ length: 5 }, () => member(t, folder)))
    assert.equal(members.filter(({ role }) => role === 'primary').length, 1)
    const primary = await oneOf(members)
    assert.equal((await inspect(primary)).members.length, 5)
    for (const each of members) assert.equal((await ask(each, { call: 'who' }))['result'], primary.pid)
  })

  test('A12, B15, P2, P3, P5: the primary is killed three times under load: every call settles, no loss goes untold', async (t) => {
    const folder = workspace(t)
    const members: Joined[] = []
    const gone: Joined[] = []
    for (let i = 0; i < 5; i++) members.push(await member(t, folder, { name: `m${i}` }))
    // One of them never stands, publishes or dies: it hears the whole.
    const observer = await member(t, folder, { primary: 'never', name: 'observer' })
    await ask(observer, { subscribe: 'load' })
    for (const each of members) each.send({ load: 'both' })
    for (let kill = 0; kill < 3; kill++) {
      await new Promise((resolve) => setTimeout(resolve, 150))
      const primary = await oneOf(members)
      await primary.kill('SIGKILL')
      gone.push(primary)
      members.splice(members.indexOf(primary), 1)
      const term = kill + 2
      // Asked while nobody serves, it may run out of time.
      const seen = async (): Promise<unknown> =>
        ((await ask(observer, { inspect: true }))['snapshot'] as Snapshot | undefined)?.term
      await until(async () => (await seen()) === term, `term ${term}`)
      await Promise.all(members.map((each) => ask(each, { call: 'echo' })))
    }
    await until(() => members.every((each) => acknowledged(each) > 100), 'a load that is worth its name')
    const total = await ends(members)
    for (const each of members) await ask(each, { publish: 'load', count: 1 })
    const all = [...members, ...gone]
    await until(() => {
      const seen = new Set(observer.messages.filter(({ did }) => did === 'seen').map(({ item }) => item))
      return members.every((each) =>
        each.messages
          .filter(({ did }) => did === 'acknowledged')
          .slice(-1)
          .every(({ item }) => seen.has(item)),
      )
    }, 'the last events to arrive')
    const history = new History()
    history.observer(`p${observer.pid}`, { complete: true })
    record(history, [...all, observer])
    history.verify()
    assert.ok(history.counts.acknowledged > 100, JSON.stringify(history.counts))
    assert.ok(total['idempotent ok']! > 100, JSON.stringify(total))
    for (const end of Object.keys(total)) {
      assert.match(
        end,
        /^idempotent ok$|^once (ok|DISCONNECTED unknown)$|^idempotent CALLEE_LOST unknown$/,
        JSON.stringify(total),
      )
    }
    assert.equal(total['idempotent CALLEE_LOST unknown'], undefined, 'repeated by itself')
  })

  test('A13, F2: handed over under load no call fails, and no event is missed', async (t) => {
    const folder = workspace(t)
    const members: Joined[] = []
    for (let i = 0; i < 4; i++) members.push(await member(t, folder, { name: `m${i}` }))
    const observer = await member(t, folder, { primary: 'never', name: 'observer' })
    await ask(observer, { subscribe: 'load' })
    const all = [...members]
    for (const each of members) each.send({ load: 'both' })
    const total: Record<string, number> = {}
    for (const how of ['SIGTERM', 'close', 'SIGTERM']) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      const primary = await oneOf(members)
      members.splice(members.indexOf(primary), 1)
      const own = await ends([primary])
      for (const [name, count] of Object.entries(own)) total[name] = (total[name] ?? 0) + count
      if (how === 'close') primary.send({ close: true })
      else process.kill(primary.pid, 'SIGTERM')
      await primary.next((message) => message['status'] === 'closed')
      primary.letGo()
      assert.deepEqual(await primary.exit, { code: 0, signal: null })
      await Promise.all(members.map((each) => ask(each, { call: 'echo' })))
    }
    for (const [name, count] of Object.entries(await ends(members))) total[name] = (total[name] ?? 0) + count
    assert.deepEqual(Object.keys(total).sort(), ['idempotent ok', 'once ok'], JSON.stringify(total))
    await ask(members[0]!, { publish: 'load' })
    const last = members[0]!.messages.filter(({ did }) => did === 'acknowledged').at(-1)!['item']
    await observer.next(({ item }) => item === last)
    const history = new History()
    history.observer(`p${observer.pid}`, { complete: true })
    record(history, [...all, observer])
    history.verify()
    assert.equal(history.counts.unknown, 0)
    assert.deepEqual(
      observer.messages.filter(({ missed }) => missed !== undefined && missed !== 0),
      [],
    )
  })

  test('B15: a handler that ends its process settles the call as CALLEE_LOST', async (t) => {
    const folder = workspace(t)
    const first = await own(t, folder)
    const second = await member(t, folder, { name: 'victim' })
    const lost = first.call('exit', undefined, { to: { id: second.id } })
    await assert.rejects(lost, { code: 'CALLEE_LOST', outcome: 'unknown', message: /victim \(pid \d+\)/ })
    assert.deepEqual(await second.exit, { code: 0, signal: null })
    const third = await member(t, folder)
    await assert.rejects(
      first.call('exit', undefined, { to: { id: third.id }, idempotent: true, timeoutMs: 20_000 }),
      (error: { code: string }) => ['CALLEE_LOST', 'MEMBER_NOT_FOUND'].includes(error.code),
    )
    await third.exit
  })
})
