import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { EventRouter } from '../../../src/engine/local/event-router.ts'
import { CATCH_UP_STEP } from '../../../src/engine/local/limits.ts'
import { MEMBER_STATE } from '../../../src/engine/local/port.ts'
import { Session } from '../../../src/engine/local/session.ts'
import { Subscriber, type SubscribeBody } from '../../../src/events/subscriber.ts'
import { Frame, KIND } from '../../../src/wire/frame.ts'
import { FrameReader } from '../../../src/wire/reader.ts'
import type { OutgoingTransfer } from '../../../src/wire/transfer.ts'
import type { EncodedFrame } from '../../../src/wire/writer.ts'
import { until } from '../../support/index.ts'
import { FakePort } from './fakes.ts'

const TERM = 3

function router(more: Partial<ConstructorParameters<typeof EventRouter>[0]> = {}): EventRouter {
  return new EventRouter({ term: TERM, previousTerm: TERM - 1, isHere: () => true, ...more })
}

function publish(events: EventRouter, from: FakePort, number: number, topic = 'x', bytes = 10): number | undefined {
  return events.publish(
    from,
    new Frame().set(KIND.PUBLISH, 0, 0, 0, 0, number, 1).withName(topic).withBody(new Uint8Array(bytes)),
  )
}

function subscribe(
  events: EventRouter,
  port: FakePort,
  id: number,
  pattern: string,
  body: Partial<SubscribeBody> = {},
): void {
  const frame = new Frame().set(KIND.SUBSCRIBE, 0, 0, id, 0, 0, 0).withName(pattern)
  events.subscribe(port, frame.withBody(JSON.stringify({ from: 'now', ...body })))
}

type Step =
  | { readonly do: 'publish'; readonly topic: string; readonly bytes: number }
  | { readonly do: 'congest' | 'room' | 'deliver' | 'finish' | 'cut' | 'return' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('publish' as const),
      topic: fc.constantFrom('x', 'x', 'y'),
      bytes: fc.constantFrom(10, 10, 200, 900),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constantFrom('congest' as const, 'room' as const, 'deliver' as const, 'finish' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('cut' as const, 'return' as const) }) },
)

test('C2 B17 received and missed are what was published, whatever congestion, budget, ring and broken links do', () => {
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 20, maxLength: 300 }),
      fc.record({
        maxQueued: fc.integer({ min: 1, max: 20 }),
        overflow: fc.constantFrom('drop-oldest' as const, 'drop-newest' as const),
        ringMaxCount: fc.constantFrom(0, 3, 20, 1000),
        maxHubBytes: fc.constantFrom(400, 2000, 1e6),
      }),
      (steps, { maxQueued, overflow, ringMaxCount, maxHubBytes }) => {
        const events = router({ ringMaxCount, maxHubBytes })
        const session = new Session('subscriber')
        const publisher = new FakePort(1)
        const subscriber = new Subscriber(() => {})
        const got: { number: number; missed: number }[] = []
        const request = { pattern: 'x', from: 'now' as const, maxQueued, overflow }
        const subscription = subscriber.subscribe(request, () => {})
        let slot = 2
        let port: FakePort | undefined
        const connect = (): void => {
          const link = new FakePort(slot++, 'subscriber', session)
          link.longFrom = 500
          port = link
          subscriber.attach(
            {
              send: (frame) => {
                if (frame.kind === KIND.SUBSCRIBE) events.subscribe(link, frame)
                return undefined
              },
            },
            TERM,
          )
        }
        const deliver = (): void => {
          for (const frame of port?.take() ?? []) {
            if (frame.kind === KIND.EVENT) {
              const before = subscription.queue.unreported
              assert.equal(before.count, before.atLeast, 'always exact in one term')
              subscriber.event(frame, publisher.ref, undefined)
              const missed = subscription.queue.shift() as unknown
              assert.equal(missed, undefined)
              got.push({ number: frame.c, missed: before.count })
            } else if (frame.kind !== KIND.MEMBER) subscriber.receive(frame)
          }
        }
        const room = (): void => {
          if (port === undefined) return
          port.congested = false
          events.pump(port)
        }
        connect()
        deliver()
        let number = 0
        let matching = 0
        let last = 0
        const publishOne = (topic: string, bytes: number): void => {
          const event = publish(events, publisher, ++number, topic, bytes)!
          if (topic !== 'x') return
          matching++
          last = event
        }
        for (const one of steps) {
          if (one.do === 'publish') publishOne(one.topic, one.bytes)
          else if (one.do === 'congest' && port !== undefined) port.congested = true
          else if (one.do === 'room') room()
          else if (one.do === 'deliver') deliver()
          else if (one.do === 'finish' && (port?.transfers.length ?? 0) > 0) port!.finish()
          else if (one.do === 'cut' && port !== undefined) {
            events.detach(port, session)
            subscriber.detach()
            port = undefined
          } else if (one.do === 'return' && port === undefined) connect()
        }
        if (port === undefined) connect()
        for (let round = 0; round < 400; round++) {
          room()
          while (port!.transfers.length > 0) port!.finish()
          deliver()
        }
        publishOne('x', 10)
        room()
        deliver()
        assert.equal(got.at(-1)?.number, last)
        const missed = got.reduce((sum, one) => sum + one.missed, 0)
        assert.equal(got.length + missed, matching)
        const numbers = got.map((one) => one.number)
        assert.deepEqual(
          numbers,
          [...new Set(numbers)].toSorted((p, q) => p - q),
        )
        assert.equal(events.waitingBytes, 0)
        assert.equal(port!.backlog.size, 0)
      },
    ),
    { numRuns: 400 },
  )
})

test('an event waits for the long one before it; the term does not end in between', () => {
  const events = router()
  const [from, to] = [new FakePort(1), new FakePort(2)]
  to.longFrom = 1000
  subscribe(events, to, 1, '>')
  to.take()
  publish(events, from, 1, 'x', 5000)
  assert.equal(events.finish(to), false)
  publish(events, from, 2, 'y')
  assert.deepEqual(to.take(), [])
  assert.equal(events.finish(to), false)
  to.finish()
  assert.deepEqual(
    to.take().map((frame) => frame.name),
    ['x', 'y'],
  )
  assert.equal(events.finish(to), true)
})

test('A13 a loss that no event followed is told at the end of the term', () => {
  const events = router({ maxHubBytes: 100 })
  const [from, to] = [new FakePort(1), new FakePort(2)]
  subscribe(events, to, 7, '>')
  to.congested = true
  for (let i = 1; i <= 3; i++) publish(events, from, i)
  to.congested = false
  events.pump(to)
  to.take()
  assert.equal(events.finish(to), true)
  const [missed] = to.take()
  assert.deepEqual([missed?.kind, missed?.b, missed?.c, missed?.number], [KIND.MISSED, 7, 3, 3])
})

test('A12 a repeated publish is one event, and is answered with it', () => {
  const events = router()
  const [from, to] = [new FakePort(1), new FakePort(2)]
  subscribe(events, to, 1, '>')
  assert.equal(publish(events, from, 1), 1)
  assert.equal(publish(events, from, 2), 2)
  assert.equal(publish(events, from, 1), 1)
  assert.equal(publish(events, from, 2), 2)
  assert.equal(events.counters.repeats, 2)
  assert.equal(to.take().filter(({ kind }) => kind === KIND.EVENT).length, 2)
})

test('who published is named before its event when it is not here any more', () => {
  const here = new Set([2])
  const events = router({ isHere: (slot) => here.has(slot) })
  const [one, two, to] = [new FakePort(1), new FakePort(2), new FakePort(3)]
  publish(events, one, 1)
  publish(events, one, 2)
  publish(events, two, 1)
  subscribe(events, to, 1, '>', { from: 'earliest' })
  const told = to.take().slice(1)
  assert.deepEqual(
    told.map(({ kind, a, c }) => [kind, a, kind === KIND.MEMBER ? c : 0]),
    [
      [KIND.MEMBER, 1, MEMBER_STATE.PAST],
      [KIND.EVENT, 1, 0],
      [KIND.EVENT, 1, 0],
      [KIND.EVENT, 2, 0],
    ],
  )
  assert.equal((JSON.parse(told[0]!.text) as { id: string }).id, 'id1')
})

test('B17 an event that waits when the ring has let go of it keeps its own bytes alive and no others', () => {
  for (const ringMaxCount of [0, 3, 1000]) {
    const chunks: number[] = []
    class Passing extends FakePort {
      override sendEncoded({ chunk, start, end }: EncodedFrame): boolean {
        chunks.push(chunk.length - (end - start))
        this.frames.push(decoded(chunk, start, end))
        return true
      }
    }
    const events = router({ ringMaxCount })
    const port = new Passing(1)
    const publisher = new FakePort(2)
    subscribe(events, port, 9, 'rare')
    port.take()
    port.congested = true
    for (let number = 1; number <= 100; number++) publish(events, publisher, number, number % 10 === 0 ? 'rare' : 'x')
    port.congested = false
    events.pump(port)
    assert.deepEqual(
      port.take().map(({ number, c, name, a }) => [number, c, name, a]),
      Array.from({ length: 10 }, (_, at) => [10 * (at + 1), 10 * (at + 1), 'rare', 2]),
    )
    // Those that the ring holds lie in its chunks.
    assert.equal(chunks.filter((more) => more > 0).length, ringMaxCount === 1000 ? 10 : ringMaxCount === 3 ? 1 : 0)
  }
})

function decoded(bytes: Uint8Array, start: number, end: number): Frame {
  let frame: Frame | undefined
  new FrameReader((one) => (frame = one.clone())).push(bytes, start, end)
  return frame!
}

test('data beyond the limit of a body is refused before it has a place; the replay stays whole', () => {
  const events = router({ maxBodyBytes: 100 })
  const [from, to] = [new FakePort(1), new FakePort(2)]
  assert.equal(publish(events, from, 1, 'x', 101), undefined)
  assert.match(from.take()[0]!.text, /TOO_LARGE/)
  assert.equal(publish(events, from, 2, 'x', 100), 1)
  subscribe(events, to, 1, 'x', { from: 'earliest' })
  assert.deepEqual(
    to.take().flatMap(({ kind, c }) => (kind === KIND.EVENT ? [c] : [])),
    [1],
  )
})

test('what is no JSON object is refused as a body of SUBSCRIBE', () => {
  const events = router()
  const port = new FakePort(1)
  for (const body of ['null', '[]', '5', '"x"', '{bad']) {
    events.subscribe(port, new Frame().set(KIND.SUBSCRIBE, 0, 0, 1, 0, 0, 0).withName('x').withBody(body))
    assert.match(port.take()[0]?.text ?? '', /"INVALID_OPTION"/, body)
  }
  assert.equal(events.subscriptions, 0)
})

test('CATCH_UP_STEP: past events are read from the ring at the pace of the link, however short its queue; what it lets go counts', async () => {
  const events = router({ ringMaxCount: 2000 })
  const publisher = new FakePort(1)
  for (let n = 1; n <= 2000; n++) publish(events, publisher, n, n % 2 === 0 ? 'x' : 'y')
  const port = new FakePort(2)
  subscribe(events, port, 1, 'x', { from: 'earliest', maxQueued: 1 })
  const seen: number[] = []
  let missed = 0
  const take = (): void => {
    for (const frame of port.take()) {
      if (frame.kind === KIND.EVENT) seen.push(frame.c)
      else if (frame.kind === KIND.MISSED) missed += frame.number
    }
  }
  take()
  assert.equal(seen.length, CATCH_UP_STEP, 'others come in between')
  port.congested = true
  // Lets go of the next 100 that match, and one more waits for room.
  for (let n = 2001; n <= 2000 + 2 * CATCH_UP_STEP + 200; n++) publish(events, publisher, n, n % 2 === 0 ? 'x' : 'y')
  await new Promise((resolve) => setImmediate(resolve))
  assert.equal(events.finish(port), false, 'more is due')
  port.congested = false
  events.pump(port)
  take()
  const total = 1000 + CATCH_UP_STEP + 100
  assert.equal(seen.length + missed, total)
  assert.deepEqual([seen.length, seen.at(-1)], [1000 - 100 + 1, 2 * total])
  assert.ok(seen.every((seq, i) => i === 0 || seq > seen[i - 1]!))
  assert.equal(events.finish(port), true)
})

test('a link without room when it subscribes still gets all that the ring holds', () => {
  const events = router()
  const publisher = new FakePort(1)
  for (let n = 1; n <= 50; n++) publish(events, publisher, n)
  for (const from of ['earliest', { last: 50 }, { after: TERM * 2 ** 32 }] as const) {
    const port = new FakePort(2)
    port.congested = true
    subscribe(events, port, 1, 'x', { from, maxQueued: 1 })
    port.congested = false
    events.pump(port)
    const numbers = port.take().flatMap(({ kind, c }) => (kind === KIND.EVENT ? [c] : []))
    assert.deepEqual(
      numbers,
      Array.from({ length: 50 }, (_, i) => i + 1),
    )
  }
})

test('CATCH_UP_STEP: what comes while a free link catches up waits in the ring too, however much it is', async () => {
  const events = router()
  const publisher = new FakePort(1)
  let number = 0
  const more = (count: number): void => {
    while (count-- > 0) publish(events, publisher, ++number)
  }
  more(2 * CATCH_UP_STEP)
  const port = new FakePort(2)
  subscribe(events, port, 1, 'x', { from: 'earliest', maxQueued: 1, overflow: 'disconnect' })
  for (let turn = 0; turn < 4; turn++) {
    more(CATCH_UP_STEP / 2)
    await new Promise((resolve) => setImmediate(resolve))
  }
  await until(() => events.finish(port), 'all to be sent')
  const seen = port.take().filter(({ kind }) => kind === KIND.EVENT)
  assert.deepEqual(
    seen.map(({ c }) => c),
    Array.from({ length: number }, (_, i) => i + 1),
  )
})

test('an event that is published by the delivery of the last past one follows it', () => {
  const events = router()
  const publisher = new FakePort(1)
  for (let n = 1; n <= 3; n++) publish(events, publisher, n)
  class Publishing extends FakePort {
    override send(frame: Frame): OutgoingTransfer | undefined {
      const last = frame.kind === KIND.EVENT && frame.c === 3
      const out = super.send(frame)
      if (last) publish(events, publisher, 4)
      return out
    }
  }
  const port = new Publishing(2)
  subscribe(events, port, 1, 'x', { from: 'earliest' })
  const seen = port.take().filter(({ kind }) => kind === KIND.EVENT)
  assert.deepEqual(
    seen.map(({ c }) => c),
    [1, 2, 3, 4],
  )
  assert.equal(events.finish(port), true)
})
