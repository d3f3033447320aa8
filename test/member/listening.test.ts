import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Event } from 'conclave'
import { until } from '../support/index.ts'
import { joined, memory, onBoth, several } from './support.ts'

onBoth('listeners get events in the order they came, over all subscriptions of a member', async (t, place) => {
  for (const member of await several(t, place, 2)) {
    const got: unknown[] = []
    for (const topic of ['a', 'b', '*']) await member.on(topic, ({ data }) => got.push([topic, data])).ready
    const expected: unknown[] = []
    for (let n = 0; n < 50; n++) {
      const topic = n % 3 === 0 ? 'a' : 'b'
      void member.publish(topic, n)
      expected.push([topic, n], ['*', n])
    }
    await until(() => got.length >= expected.length, 'all events')
    assert.deepEqual(got, expected)
  }
})

test('no listener runs within publish, and one that is replayed to gets all that was there', async (t) => {
  const member = await joined(t, memory(t))
  const got: unknown[] = []
  const hear = ({ data }: Event): unknown => got.push(data)
  await member.on('x', hear).ready
  const published = [1, 2, 3].map((n) => member.publish('x', n))
  assert.deepEqual(got, [])
  await Promise.all(published)
  await until(() => got.length === 3, 'what was published')
  member.on('x', hear, { from: 'earliest' })
  assert.equal(got.length, 3)
  await until(() => got.length === 6, 'what is replayed')
  assert.deepEqual(got, [1, 2, 3, 1, 2, 3])
})

test('while a promise of the listener is open nothing comes; then all that waited does, and the end', async (t) => {
  const [, member] = await several(t, memory(t), 2)
  const got: unknown[] = []
  let goOn = (): void => {}
  const subscription = member!.on('x', (event) => {
    got.push(event.data)
    if (got.length % 2 === 0) return undefined
    return new Promise<void>((resolve) => (goOn = resolve))
  })
  await subscription.ready
  for (let n = 1; n <= 5; n++) await member!.publish('x', n)
  for (let n = 0; n < 5; n++) await turn()
  assert.deepEqual(got, [1])
  await subscription.close()
  goOn()
  await until(() => got.length === 3, 'two more')
  assert.deepEqual(got, [1, 2, 3])
  goOn()
  await until(() => got.length === 5, 'the last')
  goOn()
  assert.deepEqual(await subscription.next(), { done: true, value: undefined })
})

test('a listener that leaves gets nothing more, though it was queued', async (t) => {
  const member = await joined(t, memory(t))
  const got: unknown[] = []
  const subscription = member.on('x', async ({ data }) => {
    got.push(data)
    if (data === 2) await subscription.return!()
  })
  await subscription.ready
  await Promise.all([1, 2, 3, 4].map((n) => member.publish('x', n)))
  for (let n = 0; n < 10; n++) await turn()
  assert.deepEqual(got, [1, 2])
})
