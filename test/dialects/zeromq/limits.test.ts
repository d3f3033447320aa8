/** Bounds that no other test here runs into. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bridge, dbproxy, type MemberLike, type ReceivedEnvelope } from 'conclave/zeromq'
import * as limits from '../../../src/dialects/zeromq/limits.ts'
import { busLimits } from '../../../src/dialects/zeromq/options.ts'
import { until } from '../../support/index.ts'
import { newClient, startBus } from './support.ts'

test('options that are no whole numbers, or 0 where libzmq means "no limit", are refused', () => {
  for (const wrong of [0, -1, 1.5, Number.NaN, 2 ** 31]) {
    assert.throws(() => busLimits({ sendHighWaterMark: wrong }), { code: 'INVALID_OPTION' }, String(wrong))
  }
  assert.equal(busLimits({ heartbeatMs: 0 }).heartbeatMs, 0)
})

test('events of topics beyond MAX_NUMBERED_TOPICS carry no number', async (t) => {
  const bus = await startBus(t)
  for (let n = 1; n < limits.MAX_NUMBERED_TOPICS; n++) await bus.publish(`t${n}`, null)
  const events = await newClient(t).subscribeTo(bus.address, 'last', 'beyond')
  void bus.publish('last', 1)
  void bus.publish('beyond', 1)
  const take = async (): Promise<ReceivedEnvelope | undefined> => (await events.next()).value
  // The heartbeat that the subscription asked for took a place too.
  assert.deepEqual([(await take())?.topic, (await take())?.seq], ['last', undefined])
})

test('who awaits its publishing gives way after EVENTS_A_TURN', async (t) => {
  const bus = await startBus(t)
  await new Promise((resolve) => setImmediate(resolve))
  let turned = false
  setImmediate(() => (turned = true))
  for (let n = 1; n < limits.EVENTS_A_TURN; n++) await bus.publish('a', n)
  assert.equal(turned, false)
  await bus.publish('a', limits.EVENTS_A_TURN)
  assert.equal(turned, true)
})

test('a proxy remembers the kind of MAX_KNOWN_PRIMARIES primaries', async () => {
  const asked: string[] = []
  const client = {
    call: async (address: unknown, method: string) => {
      if (method !== 'db.write') asked.push(String(address))
      return { instance_id: 'x' }
    },
  }
  let now = 0
  const proxy = dbproxy({ client, primary: () => `ipc:///p${now}.rpc`, read: undefined })
  for (now = 0; now <= limits.MAX_KNOWN_PRIMARIES; now++) {
    await proxy.write('a')
    await proxy.write('a')
  }
  assert.equal(asked.length, limits.MAX_KNOWN_PRIMARIES + 1)
  now = 0
  await proxy.write('a')
  assert.equal(asked.length, limits.MAX_KNOWN_PRIMARIES + 2)
})

test('a bridge remembers MAX_CARRIED events that it brought to a member', async () => {
  let hear: Parameters<MemberLike['on']>[1] = () => {}
  let published = 0
  const member: MemberLike = {
    id: 'me',
    on: (_, listener) => {
      hear = listener
      return {}
    },
    publish: async () => ++published,
  }
  const out: unknown[] = []
  const bus = { instanceId: 'here', publish: (_: string, payload: unknown) => out.push(payload) }
  async function* events() {
    for (let n = 0; n <= limits.MAX_CARRIED; n++) {
      yield { instanceId: 'there', projectId: '', topic: 'a', timestamp: '', payload: n }
    }
  }
  const carried = bridge(member, bus, { events: ['a'], receive: events() as AsyncIterableIterator<never> })
  await until(() => published === limits.MAX_CARRIED + 1, 'all to be carried')
  for (const seq of [limits.MAX_CARRIED + 1, 2, 1]) {
    await hear({ topic: 'a', data: seq, seq, publisher: { id: 'me' } })
  }
  assert.deepEqual(out, [1]) // forgotten, and so taken for the member's own
  await carried.close()
})
