import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { exactly, type ReceivedEnvelope, type Subscription, type SubscriptionNotice } from 'conclave/zeromq'
import { ConclaveError } from '../../../src/errors/index.ts'
import { EventQueue } from '../../../src/dialects/zeromq/event-queue.ts'
import { Gaps } from '../../../src/dialects/zeromq/gaps.ts'
import { WaterMark } from '../../../src/dialects/zeromq/water-mark.ts'
import { defer, until } from '../../support/index.ts'
import { newClient, rawServer, socketIn, startBus, startTcpBus } from './support.ts'

async function take(events: Subscription, count: number): Promise<ReceivedEnvelope[]> {
  const taken: ReceivedEnvelope[] = []
  for (let n = 0; n < count; n++) {
    const { value } = await events.next()
    if (value !== undefined) taken.push(value)
  }
  return taken
}

const envelope = (topic: string, seq?: number, instanceId = 'a') => ({
  instanceId,
  projectId: '',
  topic,
  timestamp: '',
  payload: seq ?? null,
  ...(seq === undefined ? {} : { seq }),
})

test('where something takes connections for calls and says nothing, events come all the same', async (t) => {
  const bus = await startTcpBus(t)
  const { endpoint } = await rawServer(t, () => {})
  const client = newClient(t, { insecure: true, dialTimeoutMs: 300 })
  const address = { pub: bus.pubAddr, rpc: endpoint }
  // The time is short, since the question has to run out of it: on a slow machine the connection may too.
  const events = await until(
    () =>
      client.subscribe(address, ['a'], { settleMs: 50 }).catch((error: unknown) => {
        if (!ConclaveError.is(error, 'TIMEOUT')) throw error
        return undefined
      }),
    'a subscription',
  )
  const ticking = setInterval(() => void bus.publish('a', 1), 5)
  defer(t, () => clearInterval(ticking))
  const [event] = await take(events, 1)
  assert.equal(event?.topic, 'a')
})

test('an event that is too long ends the connection, not the subscription', async (t) => {
  const bus = await startBus(t)
  const client = newClient(t, { maxMessageBytes: 4000 })
  const notices: SubscriptionNotice['type'][] = []
  const events = await client.subscribe(bus.address, ['a'], { onNotice: ({ type }) => notices.push(type) })
  void bus.publish('a', 'x'.repeat(5000))
  await until(() => notices.join() === 'connected,disconnected,connected', 'another connection')
  // The bus hears of the subscription a moment after that.
  const ticking = setInterval(() => void bus.publish('a', 'short'), 5)
  defer(t, () => clearInterval(ticking))
  const [event] = await take(events, 1)
  assert.equal(event?.payload, 'short')
  assert.ok((event?.missed ?? 0) > 0)
})

test('prefixes, exact topics, and everything', async (t) => {
  const bus = await startBus(t)
  const client = newClient(t)
  const some = await client.subscribeTo(bus.address, 'session.', exactly('llm.end'))
  const all = await client.subscribeTo(bus.pubAddr)
  for (const topic of ['session.a', 'llm.ending', 'llm.end', 'tool.x', 'session.b']) void bus.publish(topic, topic)
  assert.deepEqual(
    (await take(some, 3)).map(({ topic }) => topic),
    ['session.a', 'llm.end', 'session.b'],
  )
  assert.equal((await take(all, 5)).length, 5)
  some.close()
  assert.deepEqual(await some.next(), { done: true, value: undefined })
  const left: unknown[] = []
  for await (const event of all) {
    left.push(event)
    break
  }
})

test('frames that are no event are skipped and counted', async (t) => {
  const bus = await startBus(t)
  const client = newClient(t)
  const events = await client.subscribeTo(bus.address)
  const { load } = await import('../../../src/dialects/zmq-library.ts')
  const { Publisher } = await load(() => import('zeromq'))
  const strange = new Publisher({ linger: 0 })
  t.after(() => strange.close())
  const endpoint = socketIn(t, 's.pub')
  await strange.bind(endpoint)
  const others = await client.subscribe(endpoint, [], { settleMs: 300 })
  for (const frame of ['no zero', 't\0{', 't\0{"payload":1}']) await strange.send(frame)
  assert.equal((await others.next()).value?.payload, 1)
  assert.deepEqual([others.counters.malformed, events.counters.malformed], [2, 0])
})

test('a slow reader loses its oldest events, and hears how many', async (t) => {
  const bus = await startBus(t, { sendHighWaterMark: 100_000 })
  const client = newClient(t)
  for (const bound of [{ queueSize: 10 }, { queueBytes: 10 * 140 }]) {
    const events = await client.subscribe(bus.address, ['n'], { ...bound, receiveHighWaterMark: 100_000 })
    for (let n = 1; n <= 500; n++) void bus.publish('n', n)
    void bus.publish('n', 'last')
    await until(() => events.counters.dropped >= 480, 'the queue to overflow')
    let count = 0
    for (;;) {
      const [event] = await take(events, 1)
      count += 1 + (event?.missed ?? 0)
      if (event?.payload === 'last') break
    }
    assert.equal(count, 501)
    events.close()
  }
})

test('overflow "pause": nothing is dropped here, and the bus drops what its mark does not hold', async (t) => {
  const bus = await startBus(t, { sendHighWaterMark: 50 })
  const client = newClient(t)
  const events = await client.subscribe(bus.address, ['n'], {
    queueSize: 10,
    receiveHighWaterMark: 10,
    overflow: 'pause',
  })
  // More than the kernel's buffers take.
  const text = 'x'.repeat(10_000)
  for (let n = 1; n <= 3000; n++) await bus.publish('n', text)
  let count = 0
  let missed = 0
  const deadline = setInterval(() => void bus.publish('n', 'last'), 20)
  for await (const event of events) {
    count++
    missed += event.missed
    if (event.payload === 'last') break
  }
  clearInterval(deadline)
  assert.equal(events.counters.dropped, 0)
  assert.ok(missed > 0 && count < 3000, `${count} came, ${missed} were missed`)
  assert.ok(count + missed >= 3000)
})

test('a lost connection is told, the subscription comes back, and what is not known to be there is missed', async (t) => {
  const client = newClient(t)
  const notices: SubscriptionNotice['type'][] = []
  const options = { onNotice: ({ type }: SubscriptionNotice) => void notices.push(type) }
  const bus = await startBus(t)
  const rpc = bus.rpcAddr
  const events = await client.subscribe({ pub: bus.pubAddr, rpc }, ['a'], options)
  void bus.publish('a', 1)
  assert.equal((await take(events, 1))[0]?.missed, 0)
  const where = { pub: bus.pubAddr, rpc }
  await bus.shutdown()
  await until(() => notices.includes('disconnected'), 'the notice')
  const next = await startBus(t, { instanceId: 'next' })
  await next.shutdown()
  const again = new (await import('conclave/zeromq')).Bus({ instanceId: 'again' })
  t.after(() => again.shutdown())
  await again.start(where)
  await until(() => events.connected, 'the subscription to come back')
  const publishing = setInterval(() => void again.publish('a', 2), 20)
  const [event] = await take(events, 1)
  clearInterval(publishing)
  assert.deepEqual([event?.payload, event?.missed], [2, Infinity])
})

test('heartbeats come by themselves, with the true time of the start', async (t) => {
  const bus = await startTcpBus(t, { heartbeatMs: 20 })
  const client = newClient(t, { insecure: true })
  const events = await client.subscribeTo(bus.address, 'instance.')
  const due = { instance_id: 'primary-1', started_at: bus.startedAt.toISOString() }
  let count = 0
  while (count < 3) {
    const [event] = await take(events, 1)
    assert.equal(event?.topic, 'instance.heartbeat')
    const { probe, ...payload } = event!.payload as { readonly probe?: string }
    assert.deepEqual(payload, due)
    // In a slow moment it asks twice whether the subscription is in force: the second answer is a heartbeat like any.
    if (probe === undefined) count++
  }
})

test('nobody there, and a signal', async (t) => {
  const client = newClient(t)
  await assert.rejects(client.subscribeTo('ipc:///nowhere/x.pub'), { code: 'DISCONNECTED' })
  await assert.rejects(client.subscribe('ipc:///nowhere/x.pub', [], { signal: AbortSignal.abort() }), {
    code: 'ABORTED',
  })
  await client.close()
  await assert.rejects(client.subscribeTo('ipc:///nowhere/x.pub'), { code: 'CLOSED' })
})

describe('what was lost', () => {
  test('is counted by the numbers of each topic', () => {
    const gaps = new Gaps()
    const missed = [
      envelope('a', 5),
      envelope('a', 6),
      envelope('b', 1),
      envelope('a', 10),
      envelope('b', 2),
      envelope('c'),
      envelope('a', 1, 'other'),
      envelope('a', 2, 'other'),
    ].map((one) => gaps.missedBefore(one))
    assert.deepEqual(missed, [0, 0, 0, 3, 0, 0, Infinity, 0])
    gaps.disconnected()
    assert.deepEqual([gaps.missedBefore(envelope('c')), gaps.missedBefore(envelope('c'))], [Infinity, 0])
    gaps.disconnected()
    assert.equal(gaps.missedBefore(envelope('a', 5, 'other')), 2)
    for (let n = 0; n < 5000; n++) gaps.missedBefore(envelope(`t${n}`, 1))
    assert.equal(gaps.missedBefore(envelope('t4999', 5)), 0) // more topics than are followed
  })

  test('in a queue of any bounds, with any pushes and takes, what comes out and what is missed make up what went in', () => {
    const steps = fc.array(fc.oneof(fc.constant('take'), fc.integer({ min: 1, max: 50 })), { maxLength: 200 })
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 100 }),
        steps,
        (maxCount, maxBytes, all) => {
          const queue = new EventQueue(maxCount, maxBytes)
          let pushed = 0
          let out = 0
          let dropped = 0
          for (const step of all) {
            if (step === 'take') {
              const taken = queue.take()
              if (taken !== undefined) out += 1 + taken.missed
            } else {
              pushed++
              dropped += queue.push(envelope('a', pushed), step as number, 0)
            }
            assert.ok(queue.size <= maxCount)
          }
          const kept = queue.size
          let rest = 0
          for (let taken = queue.take(); taken !== undefined; taken = queue.take()) rest += 1 + taken.missed
          assert.equal(out + rest, pushed)
          assert.ok(dropped <= pushed - kept)
        },
      ),
    )
  })

  test('a long queue is compacted', () => {
    const queue = new EventQueue(10_000, 1e9)
    for (let n = 0; n < 5000; n++) queue.push(envelope('a', n), 1, 0)
    for (let n = 0; n < 4000; n++) assert.equal(queue.take()?.seq, n)
    assert.equal(queue.size, 1000)
    assert.equal(queue.full, false)
  })
})

test('the mark falls while events are large, and rises again', () => {
  const mark = new WaterMark(100, 10_000)
  assert.equal(mark.next(10), false)
  assert.equal(mark.mark, 100)
  assert.ok(mark.next(1000))
  assert.equal(mark.mark, 10)
  assert.ok(mark.next(50_000))
  assert.equal(mark.mark, 1)
  let changed = 0
  for (let n = 0; n < 250; n++) if (mark.next(10)) changed++
  assert.deepEqual([mark.mark, changed], [100, 1])
})
