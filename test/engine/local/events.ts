import assert from 'node:assert/strict'
import { describe } from 'node:test'
import type { Engine } from '../../../src/engine/engine.ts'
import type { ActiveSubscription } from '../../../src/events/subscriber.ts'
import { numberOf, termOf } from '../../../src/events/position.ts'
import { benchTest, code, until, type EngineBench, type Got } from '../../../src/testing/conformance/engine.ts'
import type { LocalWorld } from './world.ts'

const LIMIT_MS = 20_000

/** Collects what a subscription brings. */
export function collect(subscription: ActiveSubscription<Got>): Got[] {
  const got: Got[] = []
  const read = async (): Promise<void> => {
    for (;;) {
      const event = await subscription.queue.next()
      if (event === undefined) return
      got.push(event)
    }
  }
  void read().catch(() => {})
  return got
}

const upTo = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i)
const data = (events: readonly Got[]): unknown[] => events.map((event) => event.data)
const sum = (events: readonly Got[]): number => events.reduce((all, { missed }) => all + missed, 0)

async function publishAll(b: EngineBench, from: Engine, topic: string, values: readonly unknown[]): Promise<number[]> {
  return Promise.all(values.map((value) => b.publish(from, topic, value)))
}

export function eventSuite(name: string, makeWorld: () => LocalWorld): void {
  const suite = benchTest(makeWorld)

  describe(`engine: ${name}: events`, () => {
    suite('all subscribers see one order, each publisher its own; seq and publisher are told', async (b) => {
      const all = await b.members(4)
      const got = await Promise.all(all.map(async (one) => collect(await b.subscribe(one, 'x.>'))))
      const seqs = await Promise.all(all.map((one, i) => publishAll(b, one, `x.${i}`, upTo(300))))
      await until(() => got.every(({ length }) => length === 1200), '1200 events each')
      const order = got[0]!.map(({ seq }) => seq)
      assert.deepEqual(
        order,
        order.toSorted((p, q) => p - q),
      )
      for (const events of got) assert.deepEqual(events, got[0])
      for (const [i, one] of all.entries()) {
        const own = got[0]!.filter(({ topic }) => topic === `x.${i}`)
        assert.deepEqual(data(own), upTo(300))
        assert.deepEqual(
          own.map(({ seq }) => seq),
          seqs[i],
        )
        assert.deepEqual(own[0]?.publisher, one.self)
      }
      assert.ok(order.every((seq) => termOf(seq) === all[0]!.term))
      assert.equal(sum(got[0]!), 0)
    })

    suite('patterns', async (b) => {
      const all = await b.members(2)
      for (const one of all) {
        const got = new Map<string, Got[]>()
        for (const pattern of ['a.b', 'a.*', 'a.>', '*.b', '>', 'c']) {
          got.set(pattern, collect(await b.subscribe(one, pattern)))
        }
        for (const topic of ['a.b', 'a.c', 'a.b.c', 'd.b', 'c']) await b.publish(all[1]!, topic)
        await until(() => got.get('>')!.length === 5, 'all of them')
        const topics = Object.fromEntries(
          [...got].map(([pattern, events]) => [pattern, events.map((e) => e.topic).join()]),
        )
        assert.deepEqual(topics, {
          'a.b': 'a.b',
          'a.*': 'a.b,a.c',
          'a.>': 'a.b,a.c,a.b.c',
          '*.b': 'a.b,d.b',
          '>': 'a.b,a.c,a.b.c,d.b,c',
          c: 'c',
        })
        await assert.rejects(b.publish(one, 'a.*'), code('INVALID_OPTION'))
        await assert.rejects(b.publish(one, '$x'), code('INVALID_OPTION'))
        await assert.rejects(b.subscribe(one, 'a.>.b'), code('INVALID_OPTION'))
      }
    })

    suite('any value, long ones in order among short ones, raw bytes, nothing', async (b) => {
      const all = await b.members(3)
      const got = await Promise.all(all.map(async (one) => collect(await b.subscribe(one, 'x'))))
      const long = (n: number): string => 'ä'.repeat(n)
      const values = [undefined, 1, long(200_000), 2, new Uint8Array([1, 2]), long(40_000), 3, long(1_000_000), null]
      for (const from of all) {
        for (const events of got) events.length = 0
        await publishAll(b, from, 'x', values)
        await until(() => got.every(({ length }) => length === values.length), 'all of them')
        for (const events of got) assert.deepEqual(data(events), values)
      }
    })

    suite(
      'from earliest, after a seq, the last so many; who published is named though it left (B: roster)',
      async (b) => {
        const [first, gone, gone2] = await b.members(3)
        await publishAll(b, gone!, 'x', upTo(5))
        const seqs = await publishAll(b, gone2!, 'x', upTo(5, 5))
        // Numbers of the two publishers repeat each other: they must not count as repeats.
        await gone!.close({ timeoutMs: LIMIT_MS })
        await gone2!.close({ timeoutMs: LIMIT_MS })
        const late = await b.join()
        for (const one of [first!, late]) {
          const earliest = collect(await b.subscribe(one, 'x', { from: 'earliest' }))
          const after = collect(await b.subscribe(one, 'x', { from: { after: seqs[1]! } }))
          const last = collect(await b.subscribe(one, 'x', { from: { last: 2 } }))
          const now = collect(await b.subscribe(one, 'x'))
          await b.publish(one, 'x', 'end')
          for (const events of [earliest, after, last, now]) {
            await until(() => events.at(-1)?.data === 'end', 'the end')
            assert.equal(sum(events), 0)
            events.pop()
          }
          assert.deepEqual(data(earliest).slice(0, 10), upTo(10))
          assert.deepEqual(earliest[0]?.publisher, gone!.self)
          assert.deepEqual(earliest[5]?.publisher, gone2!.self)
          assert.deepEqual(data(after).slice(0, 3), upTo(3, 7))
          assert.equal(last.length, 2)
          assert.equal(now.length, 0)
        }
      },
    )

    suite('what is asked for and no longer held is missed, and counts', async (b) => {
      const [first, second] = await b.members(2, () => ({ limits: { ringMaxCount: 10 } }))
      const seqs = await publishAll(b, first!, 'x', upTo(30))
      const got = collect(await b.subscribe(second!, 'x', { from: { after: seqs[4]! } }))
      await until(() => got.length > 0, 'an event')
      assert.deepEqual([got[0]?.missed, got[0]?.atLeast], [Infinity, 0])
      assert.ok((got[0]?.data as number) > 5)
    })

    for (const overflow of ['drop-oldest', 'drop-newest'] as const) {
      suite(`${overflow}: a link that is not read; received and missed are exactly what was published`, async (b) => {
        const [first, second] = await b.members(2)
        const subscription = await b.subscribe(second!, 'x', { maxQueued: 50, overflow })
        const got = collect(subscription)
        const go = b.world.pause(second!)
        let published = 0
        for (let round = 0; round < 60; round++) {
          published += (await publishAll(b, first!, 'x', Array(100).fill('x'.repeat(500)))).length
        }
        go()
        // With drop-newest the end itself may be lost, while the queue is full.
        await until(async () => {
          published++
          const end = await b.publish(first!, 'x', 'end')
          await new Promise((resolve) => setTimeout(resolve, 5))
          return got.at(-1)?.seq === end
        }, 'the end')
        assert.equal(got.length + sum(got), published)
        assert.ok(sum(got) > 0, 'the test did not fill a queue')
        assert.ok(got.every(({ missed, atLeast }) => missed === atLeast))
      })
    }

    suite('disconnect: the subscription ends with OVERLOADED, the member lives on', async (b) => {
      const [first, second] = await b.members(2)
      const subscription = await b.subscribe(second!, 'x', { maxQueued: 5, overflow: 'disconnect' })
      const go = b.world.pause(second!)
      for (let round = 0; round < 60; round++) await publishAll(b, first!, 'x', Array(100).fill('x'.repeat(500)))
      go()
      await assert.rejects(async () => {
        while ((await subscription.queue.next()) !== undefined);
      }, code('OVERLOADED'))
      const other = collect(await b.subscribe(second!, 'x'))
      await b.publish(first!, 'x', 1)
      await until(() => other.length === 1, 'an event')
    })

    suite('B17 over the budget of the switchboard the longest queue loses, and says so', async (b) => {
      const [first, slow, quick] = await b.members(3, () => ({ limits: { maxHubBytes: 200_000, maxQueued: 100_000 } }))
      const lossy = collect(await b.subscribe(slow!, 'x'))
      const whole = collect(await b.subscribe(quick!, 'x'))
      const go = b.world.pause(slow!)
      for (let round = 1; round <= 40; round++) {
        await publishAll(b, first!, 'x', Array(100).fill('x'.repeat(1000)))
        await until(() => whole.length === round * 100, 'the quick one')
      }
      const { queues } = await first!.inspect(Infinity)
      assert.ok(queues.events.bytes <= 200_000 && queues.events.bytes > 0)
      // One alone over the budget empties all queues: the loss must not be forgotten with them.
      const big = 'y'.repeat(300_000)
      await b.publish(first!, 'x', big)
      assert.equal((await first!.inspect(Infinity)).queues.events.count, 0)
      go()
      await b.publish(first!, 'x', 'end')
      await until(() => lossy.at(-1)?.data === 'end' && whole.at(-1)?.data === 'end', 'the end')
      assert.equal(lossy.length + sum(lossy), 4002)
      assert.equal(sum(whole), 0)
      assert.equal(whole.length, 4002)
    })

    suite(
      'C2 a link that breaks and comes back: exact counts, for what the ring holds and what it does not',
      async (b) => {
        for (const ringMaxCount of [10_000, 40]) {
          const all = await b.members(3, () => ({ limits: { ringMaxCount } }))
          const [first, second, third] = all as [Engine, Engine, Engine]
          const got = collect(await b.subscribe(second, 'x.*', { maxQueued: 10_000 }))
          const publishes: Promise<number>[] = []
          for (let round = 0; round < 8; round++) {
            for (const value of upTo(50)) {
              publishes.push(
                b.publish(third, 'x.1', value),
                b.publish(first, 'y', value),
                b.publish(second, 'x.2', value),
              )
            }
            const go = round % 2 === 0 ? undefined : b.world.pause(second)
            await new Promise((resolve) => setTimeout(resolve, 5))
            b.world.cut(second)
            for (const value of upTo(50)) publishes.push(b.publish(third, 'x.3', value))
            await Promise.all(publishes.slice(-50))
            go?.()
            await until(() => second.primary !== undefined, 'its return')
          }
          const seqs = await Promise.all(publishes)
          assert.equal(new Set(seqs).size, seqs.length, 'each publish became one event')
          const end = await b.publish(first, 'x.end', 'end')
          await until(() => got.at(-1)?.seq === end, 'the end')
          assert.equal(got.length + sum(got), 8 * 150 + 1)
          assert.equal(new Set(got.map(({ seq }) => seq)).size, got.length)
          if (ringMaxCount === 10_000) assert.equal(sum(got), 0)
          else assert.ok(sum(got) > 0, 'the test lost none')
          for (const one of all.toReversed()) await one.close({ timeoutMs: LIMIT_MS })
        }
      },
    )

    suite('A12 A13 a hand-over loses nothing, and says so: exact, missed 0, each publish one event', async (b) => {
      const all = await b.members(4)
      const watcher = all[3]!
      const got = collect(await b.subscribe(watcher, 'x.*', { maxQueued: 1_000_000 }))
      const idle = collect(await b.subscribe(watcher, 'rare'))
      const seqs: Promise<number>[] = []
      let stop = false
      const load = async (one: Engine): Promise<void> => {
        for (let i = 0; !stop; i++) {
          const value = i % 300 === 0 ? 'x'.repeat(100_000) : i
          seqs.push(b.publish(one, `x.${one.self.name}`, value))
          if (i % 20 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
        }
      }
      const loads = [load(all[2]!), load(watcher)]
      for (const closing of [all[0]!, all[1]!]) {
        await new Promise((resolve) => setTimeout(resolve, 50))
        const term = closing.role === 'primary' ? closing.term + 1 : closing.term
        await closing.close({ timeoutMs: LIMIT_MS })
        // Who was not there in a term can't know that it missed nothing in it.
        const isThere = (one: Engine): boolean => one.primary !== undefined && one.term >= term
        await until(() => isThere(all[2]!) && isThere(watcher), 'the next term')
      }
      await new Promise((resolve) => setTimeout(resolve, 30))
      stop = true
      await Promise.all(loads)
      const numbers = await Promise.all(seqs)
      assert.equal(new Set(numbers).size, numbers.length)
      await b.publish(watcher, 'rare')
      const end = await b.publish(watcher, 'x.end')
      await until(() => got.at(-1)?.seq === end && idle.length === 1, 'the end')
      assert.equal(sum(got), 0)
      assert.equal(sum(idle), 0, 'a subscription without any event is whole, too')
      assert.equal(got.length, numbers.length + 1)
      const order = got.map(({ seq }) => seq)
      assert.deepEqual(
        order,
        order.toSorted((p, q) => p - q),
      )
    })

    suite('A12 a killed primary: the first event of the new term says that the count is not known', async (b) => {
      const all = await b.members(3)
      const got = collect(await b.subscribe(all[2]!, 'x'))
      await publishAll(b, all[1]!, 'x', upTo(100))
      await until(() => got.length === 100, '100 events')
      const flying = publishAll(b, all[1]!, 'x', upTo(100, 100))
      b.world.kill(all[0]!)
      const seqs = await flying
      assert.deepEqual(
        seqs,
        seqs.toSorted((p, q) => p - q),
        'repeated in order',
      )
      await until(() => got.at(-1)?.data === 199, 'the last one')
      // At least once each, in order, and never twice: repeats are dropped by the publisher's number.
      assert.deepEqual(data(got), upTo(200))
      const inTerm = got.filter(({ term }) => term === all[1]!.term)
      assert.deepEqual(inTerm[0] === undefined ? Infinity : inTerm[0].missed, Infinity)
      assert.equal(sum(inTerm.slice(1)), 0)
      assert.equal(numberOf(all[2]!.term), all[1]!.term)
    })

    suite('who joins, leaves, dies and serves is an event', async (b) => {
      const first = await b.join({ name: 'a' })
      const members = collect(await b.subscribe(first, '$member.*'))
      const user = collect(await b.subscribe(first, '>'))
      const [second, third] = [await b.join({ name: 'b' }), await b.join({ name: 'c' })]
      const primaries = collect(await b.subscribe(third, '$primary.changed'))
      b.world.cut(second)
      await until(() => second.primary !== undefined && members.length >= 4, 'its return')
      await second.close({ timeoutMs: LIMIT_MS })
      b.world.kill(await b.join({ name: 'd' }))
      await until(
        () => members.some((e) => e.topic === '$member.left' && (e.data as { name: string }).name === 'd'),
        'd',
      )
      const told = members.map(({ topic, data }) => {
        const { name, cause } = data as { name: string; cause?: string }
        return `${topic} ${name} ${cause}`
      })
      assert.deepEqual(told, [
        '$member.joined b undefined',
        '$member.joined c undefined',
        '$member.left b died',
        '$member.joined b undefined',
        '$member.left b closed',
        '$member.joined d undefined',
        '$member.left d died',
      ])
      assert.equal(user.length, 0)
      await first.close({ timeoutMs: LIMIT_MS })
      await until(() => third.role === 'primary' && primaries.length > 0, 'c to serve')
      assert.deepEqual(primaries.at(-1)?.data, third.self)
    })
  })
}
