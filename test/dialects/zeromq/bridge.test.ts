import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import { join } from 'conclave'
import { memoryWorkspace } from 'conclave/testing'
import { bridge, type ReceivedEnvelope, type Subscription } from 'conclave/zeromq'
import { defer, until } from '../../support/index.ts'
import { newClient, startBus } from './support.ts'

async function take(events: Subscription, count: number): Promise<ReceivedEnvelope[]> {
  const taken: ReceivedEnvelope[] = []
  while (taken.length < count) {
    const { value } = await events.next()
    if (value !== undefined) taken.push(value)
  }
  return taken
}

const brief = ({ topic, payload }: ReceivedEnvelope): unknown => [topic, payload]

test('an EventEmitter: one argument is the payload, several a list; long results are cut; errors are told', async (t) => {
  const bus = await startBus(t)
  const events = await newClient(t).subscribeTo(bus.address, 'app.')
  const emitter = new EventEmitter()
  const errors: string[] = []
  const carried = bridge(emitter, bus, {
    events: ['saved', 'tool.end', 'odd'],
    prefix: 'app',
    onError: (_, topic) => errors.push(topic),
  })
  emitter.emit('saved', { id: 1 })
  emitter.emit('saved', 1, 2)
  emitter.emit('saved')
  emitter.emit('other', 1)
  emitter.emit('odd', 1n)
  emitter.emit('tool.end', { name: 'x', result: `${'a'.repeat(511)}éé` })
  emitter.emit('tool.end', { name: 'x', result: 'short' })
  assert.deepEqual((await take(events, 5)).map(brief), [
    ['app.saved', { id: 1 }],
    ['app.saved', [1, 2]],
    ['app.saved', null],
    ['app.tool.end', { name: 'x', result: 'a'.repeat(511) }],
    ['app.tool.end', { name: 'x', result: 'short' }],
  ])
  assert.deepEqual(errors, ['odd'])
  await carried.close()
  emitter.emit('saved', 'unheard')
  assert.equal(emitter.listenerCount('saved'), 0)
})

test('what a listener of a carried event emits at once is carried too', async (t) => {
  const [a, b] = [await startBus(t, { instanceId: 'a' }), await startBus(t, { instanceId: 'b' })]
  const client = newClient(t)
  const events = await client.subscribeTo(a.address, 'x', 'y')
  const emitter = new EventEmitter()
  emitter.on('x', (payload: { n: number }) => {
    emitter.emit('y', payload)
    if (payload.n === 1) emitter.emit('x', { n: 2 })
  })
  const receive = await client.subscribeTo(b.address, 'x')
  const carried = bridge(emitter, a, { events: ['x', 'y'], receive })
  defer(t, () => carried.close())
  void b.publish('x', { n: 1 })
  assert.deepEqual((await take(events, 3)).map(brief), [
    ['y', { n: 1 }],
    ['y', { n: 2 }],
    ['x', { n: 2 }],
  ])
})

test('two emitters over two buses: both ways, without a loop; and an EventTarget', async (t) => {
  const [a, b] = [await startBus(t, { instanceId: 'a' }), await startBus(t, { instanceId: 'b' })]
  const client = newClient(t)
  const [one, two] = [new EventEmitter(), new EventTarget()]
  const heard: unknown[] = []
  one.on('x', (payload) => heard.push(['one', payload]))
  two.addEventListener('x', (event) => heard.push(['two', (event as CustomEvent).detail]))
  const all = await client.subscribeTo(a.address, 'x')
  const left = bridge(one, a, { events: ['x'], receive: await client.subscribeTo(b.address, 'x') })
  const right = bridge(two, b, { events: ['x'], receive: await client.subscribeTo(a.address, 'x') })
  one.emit('x', 1)
  await until(() => heard.length === 2, 'the first event on both sides')
  two.dispatchEvent(new CustomEvent('x', { detail: 2 }))
  await until(() => heard.length === 4, 'the second event on both sides')
  assert.deepEqual(heard, [
    ['one', 1],
    ['two', 1],
    ['two', 2],
    ['one', 2],
  ])
  void a.publish('x', 'last')
  assert.deepEqual((await take(all, 2)).map(brief), [
    ['x', 1],
    ['x', 'last'],
  ])
  await left.close()
  await right.close()
})

test('a member: its workspace is heard on the bus, and other buses in the workspace', async (t) => {
  const place = memoryWorkspace()
  defer(t, () => place[Symbol.asyncDispose]())
  const [member, other] = [await join(place, { name: 'bridge' }), await join(place, { name: 'other' })]
  const bus = await startBus(t, { instanceId: 'mine' })
  const foreign = await startBus(t, { instanceId: 'foreign' })
  const client = newClient(t)
  const out = await client.subscribeTo(bus.address, 'session.')
  const receive = await client.subscribeTo(foreign.address, 'session.')
  const carried = bridge(member, bus, { events: ['session.*'], receive })
  const seen: unknown[] = []
  const subscription = other.on('session.*', ({ topic, data }) => seen.push([topic, data]))
  await subscription.ready

  await other.publish('session.update', 1)
  void foreign.publish('session.update', 2)
  await until(() => seen.length === 2, 'both events in the workspace')
  await member.publish('session.update', 3)
  assert.deepEqual((await take(out, 2)).map(brief), [
    ['session.update', 1],
    ['session.update', 3],
  ])
  assert.deepEqual(seen.slice(0, 2), [
    ['session.update', 1],
    ['session.update', 2],
  ])
  await carried.close()
})
