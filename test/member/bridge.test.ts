import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { describe, test } from 'node:test'
import { bridge } from 'conclave'
import { until } from '../support/index.ts'
import { code, memory, onBoth, several } from './support.ts'

onBoth('an EventEmitter: events go to all others, once, without loops', async (t, place) => {
  const members = await several(t, place, 3)
  const emitters = members.map(() => new EventEmitter())
  const heard: string[] = []
  for (const [i, emitter] of emitters.entries())
    emitter.on('saved', (...args) => heard.push(`${i}${JSON.stringify(args)}`))
  const bridges = members.map((member, i) => bridge(emitters[i]!, member, { publish: ['saved'], prefix: 'app' }))
  await Promise.all(members.map((member) => member.inspect()))
  emitters[1]!.emit('saved', 7, { x: 1 })
  await until(() => heard.length === 3, `three, not ${heard.join()}`)
  assert.deepEqual(heard.splice(0).sort(), ['0[7,{"x":1}]', '1[7,{"x":1}]', '2[7,{"x":1}]'])
  await Promise.all(members.map((member) => member.inspect()))
  const { counters } = await members[0]!.inspect()
  assert.equal(counters['own.published'], 0, 'nothing is published again')
  await Promise.all(bridges.map((each) => each.close()))
  emitters[0]!.emit('saved', 8)
  await Promise.all(members.map((member) => member.inspect()))
  assert.deepEqual(heard, ['0[8]'])
  for (const emitter of emitters) assert.equal(emitter.listenerCount('saved'), 1)
})

describe('bridge', () => {
  test('an EventTarget: the detail travels', async (t) => {
    const [first, second] = await several(t, memory(t), 2)
    const [a, b] = [new EventTarget(), new EventTarget()]
    const heard: unknown[] = []
    b.addEventListener('ping', (event) => heard.push((event as CustomEvent).detail))
    await using one = bridge(a, first!, { publish: ['ping'] })
    await using two = bridge(b, second!, { publish: ['ping'] })
    await second!.inspect()
    a.dispatchEvent(new CustomEvent('ping', { detail: { n: 1 } }))
    a.dispatchEvent(new Event('ping'))
    await until(() => heard.length === 2, 'two')
    assert.deepEqual(heard, [{ n: 1 }, null])
    void [one, two]
  })

  for (const kind of ['emitter', 'target']) {
    test(`what a listener sends in answer goes out, also while one is delivered (${kind})`, async (t) => {
      const [first, second] = await several(t, memory(t), 2)
      const events = first!.subscribe('pong')
      await events.ready
      const answers = { publish: ['ping', 'pong'] }
      let there
      if (kind === 'emitter') {
        const emitter = new EventEmitter().on('ping', (n: number) => emitter.emit('pong', n + 1))
        there = bridge(emitter, second!, answers)
      } else {
        const target = new EventTarget()
        target.addEventListener('ping', (event) => {
          target.dispatchEvent(new CustomEvent('pong', { detail: [(event as CustomEvent<number[]>).detail[0]! + 1] }))
        })
        there = bridge(target, second!, answers)
      }
      await second!.inspect()
      await first!.publish('ping', [1])
      assert.deepEqual((await events.next()).value?.data, [2])
      await there.close()
    })
  }

  test('names that go one way only', async (t) => {
    const [first, second] = await several(t, memory(t), 2)
    const emitter = new EventEmitter()
    const heard: unknown[] = []
    emitter.on('in', (x) => heard.push(x)).on('out', (x) => heard.push(x))
    await using one = bridge(emitter, second!, { publish: ['out'], receive: ['in'] })
    await second!.inspect()
    await first!.publish('out', ['no'])
    await first!.publish('in', ['yes'])
    await until(() => heard.length === 1, 'one')
    assert.deepEqual(heard, ['yes'])
    await second!.close()
    assert.throws(() => bridge(emitter, second!, { publish: ['x'] }), code('CLOSED'))
    void one
  })
})
