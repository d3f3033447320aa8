import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConclaveError, errorToWire } from '../../src/errors/index.ts'
import { MAX_REMEMBERED_PUBLISHERS, MAX_SUBSCRIPTIONS } from '../../src/events/limits.ts'
import { seqOf } from '../../src/events/position.ts'
import { Subscriber, type ActiveSubscription, type SubscribeBody } from '../../src/events/subscriber.ts'
import { FLAG, Frame, KIND } from '../../src/wire/frame.ts'

interface Got {
  readonly data: unknown
  readonly missed: number
  readonly atLeast: number
}

function bench() {
  const dropped: [string, number][] = []
  const subscriber = new Subscriber((pattern, count) => dropped.push([pattern, count]))
  const sent: Frame[] = []
  const sink = { send: (frame: Frame): undefined => void sent.push(frame.clone()) }
  const subscribe = (more: Partial<Parameters<Subscriber['subscribe']>[0]> = {}): ActiveSubscription<Got> => {
    const request = { pattern: 'x', from: 'now' as const, maxQueued: undefined, overflow: undefined, ...more }
    return subscriber.subscribe(request, ({ data }, missed, atLeast) => ({ data, missed, atLeast }))
  }
  const asked = (): SubscribeBody[] =>
    sent.splice(0).flatMap((frame) => (frame.kind === KIND.SUBSCRIBE ? [JSON.parse(frame.text) as SubscribeBody] : []))
  const subscribed = (id: number, after: number, missed = 0, exact = true, error?: ConclaveError): void => {
    const body = { after, missed, exact, ...(error === undefined ? {} : { error: errorToWire(error) }) }
    subscriber.receive(new Frame().set(KIND.SUBSCRIBED, 0, 0, id, 0, 0, 0).withBody(JSON.stringify(body)))
  }
  const event = (id: number, seq: number, number: number, publisher = 'p'): void => {
    const frame = new Frame().set(KIND.EVENT, 0, 1, id, seq, number, 0).withName('x').withBody(String(seq))
    subscriber.event(frame, { id: publisher, name: publisher, pid: 1 }, seq)
  }
  const missed = (id: number, count: number, through: number, flags = 0): void => {
    subscriber.receive(new Frame().set(KIND.MISSED, flags, 0, id, through, count, 0))
  }
  return { subscriber, sink, sent, dropped, subscribe, asked, subscribed, event, missed }
}

test('a subscription goes on where it stands: its position, and how many it knows of', () => {
  const { subscriber, sink, subscribe, asked, subscribed, event, missed } = bench()
  const subscription = subscribe()
  subscriber.attach(sink, 3)
  assert.deepEqual(asked(), [{ from: 'now' }])
  subscribed(1, 10)
  event(1, 11, 1)
  missed(1, 4, 17)
  subscriber.detach()
  subscriber.attach(sink, 3)
  assert.deepEqual(asked(), [{ from: { after: seqOf(3, 17) }, seen: 5, whole: false }])
  assert.equal(subscription.queue.unreported.count, 4)
})

test('one that was never answered begins anew', () => {
  const { subscriber, sink, subscribe, asked } = bench()
  subscribe({ from: { last: 5 } })
  subscriber.attach(sink, 3)
  subscriber.detach()
  asked()
  subscriber.attach(sink, 4)
  assert.deepEqual(asked(), [{ from: { last: 5 } }])
})

test('A12 after a new term nothing is known of, unless the old one ended in order', () => {
  for (const whole of [false, true]) {
    const { subscriber, sink, subscribe, asked, subscribed, event } = bench()
    const subscription = subscribe()
    subscriber.attach(sink, 3)
    subscribed(1, 0)
    event(1, 1, 1)
    asked()
    if (whole) subscriber.termEnded()
    subscriber.detach()
    subscriber.attach(sink, 4)
    assert.deepEqual(asked(), [{ from: { after: seqOf(3, 1) }, seen: 0, whole }])
    subscribed(1, 0, 0, whole)
    event(1, 1, 1)
    event(1, 2, 2)
    assert.equal(subscriber.duplicates, 1, 'the repeat of what the old primary delivered')
    assert.deepEqual(subscription.queue.shift(), { data: 1, missed: 0, atLeast: 0 })
    const { missed, atLeast } = subscription.queue.shift()!
    assert.deepEqual([missed, atLeast], [whole ? 0 : Infinity, 0])
    // The end of that term says nothing of a later one.
    subscriber.detach()
    subscriber.attach(sink, 5)
    assert.equal(asked()[0]?.whole, false)
  }
})

test('A12 events of publishers that nobody can name are never taken for repeats', () => {
  const { subscriber, sink, subscribe, subscribed, event } = bench()
  subscribe()
  subscriber.attach(sink, 3)
  subscribed(1, 0)
  event(1, 1, 5, '')
  event(1, 2, 1, '')
  event(1, 3, 0, 'system')
  event(1, 4, 0, 'system')
  assert.deepEqual([subscriber.received, subscriber.duplicates], [4, 0])
})

test('it remembers so many publishers', () => {
  const { subscriber, sink, subscribe, subscribed, event } = bench()
  subscribe({ maxQueued: 100_000 })
  subscriber.attach(sink, 3)
  subscribed(1, 0)
  for (let i = 0; i <= MAX_REMEMBERED_PUBLISHERS; i++) event(1, i + 1, 1, `p${i}`)
  event(1, 5000, 1, `p${MAX_REMEMBERED_PUBLISHERS}`)
  event(1, 5001, 1, 'p0')
  assert.equal(subscriber.duplicates, 1)
})

test('a queue that overflows here says so, and counts; with disconnect the subscription ends on both sides', async () => {
  const { subscriber, sink, sent, dropped, subscribe, subscribed, event, missed } = bench()
  const lossy = subscribe({ maxQueued: 2 })
  const strict = subscribe({ maxQueued: 1, overflow: 'disconnect', pattern: 'y' })
  subscriber.attach(sink, 3)
  for (const id of [1, 2]) subscribed(id, 0)
  missed(1, 2, 2, FLAG.INEXACT)
  for (let i = 3; i <= 6; i++) event(1, i, i)
  for (let i = 3; i <= 5; i++) event(2, i, i)
  assert.deepEqual(lossy.queue.shift(), { data: 5, missed: Infinity, atLeast: 4 })
  assert.deepEqual(dropped, [
    ['x', 1],
    ['x', 1],
    ['y', 1],
  ])
  assert.deepEqual(
    sent.filter(({ kind }) => kind === KIND.UNSUBSCRIBE).map(({ b }) => b),
    [2],
  )
  await strict.queue.next()
  await assert.rejects(strict.queue.next(), (error) => ConclaveError.is(error, 'OVERLOADED'))
  assert.equal(subscriber.count, 1)
})

test('refused by the switchboard, closed before it began, closed with the member, and one too many', async () => {
  const { subscriber, sink, subscribe, subscribed } = bench()
  const [refused, left, open] = [subscribe(), subscribe(), subscribe()]
  subscriber.attach(sink, 3)
  subscribed(1, 0, 0, true, new ConclaveError('OVERLOADED', 'no'))
  await assert.rejects(refused.ready, (error) => ConclaveError.is(error, 'OVERLOADED'))
  await assert.rejects(refused.queue.next(), (error) => ConclaveError.is(error, 'OVERLOADED'))
  subscriber.unsubscribe(left as ActiveSubscription<unknown>)
  await assert.rejects(left.ready, (error) => ConclaveError.is(error, 'CLOSED'))
  for (let i = subscriber.count; i < MAX_SUBSCRIPTIONS; i++) subscribe()
  assert.throws(
    () => subscribe(),
    (error) => ConclaveError.is(error, 'OVERLOADED'),
  )
  assert.throws(
    () => subscribe({ pattern: 'a..b' }),
    (error) => ConclaveError.is(error, 'INVALID_OPTION'),
  )
  const error = new ConclaveError('CLOSED', 'over')
  subscriber.close(error, false)
  await assert.rejects(open.ready, error)
  assert.equal(await open.queue.next(), undefined)
  assert.throws(() => subscribe(), error)
})

test('B2: a subscription is waited for until the switchboard has answered', () => {
  const { subscriber, sink, subscribe, subscribed } = bench()
  subscriber.attach(sink, 1)
  const { id } = subscribe()
  subscribe()
  assert.equal(subscriber.waiting, 2)
  subscribed(id, 0)
  assert.equal(subscriber.waiting, 1)
})
