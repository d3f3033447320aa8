import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Member, Status } from 'conclave'
import { MAX_QUEUED_STATUSES } from '../../src/member/limits.ts'
import { all, code, joined, memory, onBoth, several, take } from './support.ts'

const brief = (status: Status): string =>
  status.type === 'role'
    ? `${status.role} ${status.term}`
    : status.type === 'primary-lost'
      ? `lost ${status.cause} ${status.term}`
      : status.type === 'primary-found'
        ? `found ${status.primary.name} ${status.term}`
        : status.type === 'closed'
          ? `closed ${status.reason.type}`
          : status.type

const lines = async (member: Member): Promise<string[]> => (await all(member.status())).map(brief)

onBoth('status begins with what is, tells what happens in order, and ends after closed', async (t, place) => {
  const [first, second] = (await several(t, place, 2)) as [Member, Member]
  const [one, two] = [lines(first), lines(second)]
  await first.close()
  await take(second.status(), 2)
  for await (const status of second.status()) if (status.type === 'role' && status.role === 'primary') break
  await second.call('x').catch(() => {})
  const late = second.status()
  assert.deepEqual((await take(late, 2)).map(brief), ['primary 2', 'found m1 2'])
  await second.close()
  assert.deepEqual(await one, ['primary 1', 'found m0 1', 'closed closed'])
  assert.deepEqual(await two, [
    'secondary 1',
    'found m0 1',
    'lost handover 1',
    'primary 2',
    'found m1 2',
    'closed closed',
  ])
  assert.deepEqual(await lines(first), ['secondary 1', 'closed closed'])
})

describe('status', () => {
  test('P7: the death of a primary is "gone", and afterMs says how long it took', async (t) => {
    const place = memory(t)
    const [first, second] = (await several(t, place, 2)) as [Member, Member]
    const statuses = second.status()
    await take(statuses, 2)
    place.kill(first)
    const [lost, role, found] = await take(statuses, 3)
    assert.deepEqual(
      [lost, role].map((status) => brief(status!)),
      ['lost gone 1', 'primary 2'],
    )
    assert.ok(found?.type === 'primary-found' && found.primary.id === second.id && found.afterMs >= 0)
    assert.deepEqual(await lines(first), ['primary 1', 'closed aborted'].toSpliced(0, 1, 'secondary 1'))
  })

  test('MAX_QUEUED_STATUSES: who does not read loses the oldest', async (t) => {
    const member = await joined(t, memory(t))
    const unread = member.status()
    const events = member.subscribe('x', { maxQueued: 1 })
    await events.ready
    for (let i = 0; i < MAX_QUEUED_STATUSES + 50; i++) await member.publish('x', i)
    await member.close()
    const kept = await all(unread)
    assert.equal(kept.length, MAX_QUEUED_STATUSES)
    assert.equal(kept[0]?.type, 'dropped')
    assert.equal(kept.at(-1)?.type, 'closed')
  })

  test('leaving the loop ends it; a waiting next() ends too', async (t) => {
    const member = await joined(t, memory(t))
    const statuses = member.status()
    await take(statuses, 2)
    const waiting = statuses.next()
    assert.deepEqual(await statuses.return?.(), { done: true, value: undefined })
    assert.deepEqual(await waiting, { done: true, value: undefined })
    for await (const status of member.status()) {
      assert.equal(status.type, 'role')
      break
    }
  })

  test('C3: superseded closes with its reason', async (t) => {
    const place = memory(t)
    const first = await joined(t, place, { version: 1 })
    await joined(t, place, { version: 2, minVersion: 2 })
    const reason = await first.closed
    assert.ok(reason.type === 'superseded' && code('SUPERSEDED')(reason.error))
    assert.equal((await lines(first)).at(-1), 'closed superseded')
  })

  test('the logger hears what status tells', async (t) => {
    const heard: string[] = []
    const log = (level: string) => (_: object, text: string) => void heard.push(`${level} ${text}`)
    const logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') }
    const member = await joined(t, memory(t), { logger })
    const events = member.subscribe('x', { maxQueued: 1 })
    await events.ready
    for (let i = 0; i < 2; i++) await member.publish('x', i)
    await member.close()
    assert.deepEqual(heard, ['info role', 'info primary-found', 'warn events were dropped', 'info closed'])
  })
})
