import assert from 'node:assert/strict'
import { describe } from 'node:test'
import { TO_ANY, TO_PRIMARY } from '../../../src/rpc/address.ts'
import { MAX_STREAMS, STREAM_WINDOW_BYTES } from '../../../src/rpc/limits.ts'
import type { EngineStream } from '../../../src/engine/engine.ts'
import { ConclaveError } from '../../../src/errors/index.ts'
import { benchTest, code, counting, offer, toId, until } from '../../../src/testing/conformance/engine.ts'
import type { LocalWorld } from './world.ts'

export async function readAll(stream: EngineStream): Promise<{ items: unknown[]; value: unknown }> {
  const items: unknown[] = []
  for (;;) {
    const step = await stream.next()
    if (step.done === true) return { items, value: step.value }
    items.push(step.value)
  }
}

const upTo = (count: number): number[] => Array.from({ length: count }, (_, i) => i)

export function streamSuite(name: string, makeWorld: () => LocalWorld): void {
  const suite = benchTest(makeWorld)
  /** From and to: local, to a secondary, from one, between two. */
  const ways = [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 2],
  ] as const

  describe(`engine: ${name}: streams`, () => {
    suite('bring all items in order, then what the handler returned', async (b) => {
      const all = await b.members(3, () => ({ offers: [offer('count', counting())] }))
      for (const [from, to] of ways) {
        const stream = b.stream(all[from]!, 'count', 5000, toId(all[to]!.self.id))
        assert.deepEqual(await readAll(stream), { items: upTo(5000), value: 'done' })
        assert.equal(await stream.result, 'done')
        assert.deepEqual(await stream.next(), { done: true, value: 'done' })
      }
    })

    suite('items longer than a frame keep their order, among short ones too', async (b) => {
      const sizes = [300_000, 1, 70_000, 500_000, 2, 3, 65_537, 1_000_000, 4]
      const mixed = offer('mixed', async function* () {
        for (const size of sizes) yield 'x'.repeat(size)
        return 'y'.repeat(400_000)
      })
      const all = await b.members(3, () => ({ offers: [mixed] }))
      for (const [from, to] of ways) {
        for (let round = 0; round < 5; round++) {
          const { items, value } = await readAll(b.stream(all[from]!, 'mixed', null, toId(all[to]!.self.id)))
          assert.deepEqual(
            items.map((item) => (item as string).length),
            sizes,
          )
          assert.equal((value as string).length, 400_000)
        }
      }
    })

    suite('a slow reader holds its producer at the window, and nobody else', async (b) => {
      let made = 0
      const endless = offer('endless', async function* () {
        for (; ; made++) yield 'x'.repeat(1000)
      })
      const all = await b.members(3, () => ({ offers: [endless, offer('echo', ({ params }) => params)] }))
      for (const [from, to] of ways) {
        made = 0
        const stream = b.stream(all[from]!, 'endless', null, toId(all[to]!.self.id))
        await stream.next()
        let before = -1
        await until(() => {
          const still = made === before && made > 100
          before = made
          return still
        }, 'the producer to stand still')
        for (let i = 0; i < 50; i++) await b.call(all[from]!, 'echo', i, toId(all[to]!.self.id))
        assert.ok(made * 1000 <= STREAM_WINDOW_BYTES + 2000, `${made} items of 1000 bytes`)
        for (let i = 0; i < 500; i++) await stream.next()
        await until(() => made > before, 'the producer to go on')
        stream.cancel()
      }
    })

    suite('leaving early tells the handler, whose finally runs; result rejects without being unhandled', async (b) => {
      let left = 0
      const endless = offer('endless', async function* () {
        try {
          for (let i = 0; ; i++) yield i
        } finally {
          left++
        }
      })
      const all = await b.members(3, () => ({ offers: [endless] }))
      for (const [i, [from, to]] of ways.entries()) {
        const stream = b.stream(all[from]!, 'endless', null, toId(all[to]!.self.id))
        for (let n = 0; n < 10; n++) assert.deepEqual(await stream.next(), { done: false, value: n })
        const waiting = b.stream(all[from]!, 'endless', null, toId(all[to]!.self.id))
        stream.cancel('seen enough')
        waiting.cancel()
        assert.equal((await stream.next()).done, true)
        await assert.rejects(stream.result, code('ABORTED'))
        await until(() => left >= i + 1, 'its finally')
        left = i + 1
      }
      await until(() => all.every((one) => one.counters()['running'] === 0), 'nothing to run')
    })

    suite('an error comes after the items before it', async (b) => {
      const broken = offer('broken', async function* () {
        yield 1
        yield 2
        throw Object.assign(new Error('no more'), { code: 'E_END' })
      })
      const bad = offer('bad', async function* () {
        yield 1
        yield 1n
      })
      const all = await b.members(3, () => ({ offers: [broken, bad] }))
      for (const [from, to] of ways) {
        const stream = b.stream(all[from]!, 'broken', null, toId(all[to]!.self.id))
        await assert.rejects(stream.result, code('FAILED', { reason: 'E_END' }))
        assert.deepEqual(
          [await stream.next(), await stream.next()].map(({ value }) => value),
          [1, 2],
        )
        await assert.rejects(stream.next(), code('FAILED', { reason: 'E_END' }))
        assert.deepEqual(await stream.next(), { done: true, value: undefined })
        const unsendable = b.stream(all[from]!, 'bad', null, toId(all[to]!.self.id))
        assert.equal((await unsendable.next()).value, 1)
        await assert.rejects(unsendable.next(), code('INVALID_RESULT'))
      }
      assert.ok(all.every((one) => one.counters()['running'] === 0))
    })

    suite('call() on a generator gets what it returns; F3 however many items, others are served', async (b) => {
      let turn = true
      const long = offer('long', async function* () {
        for (let i = 0; turn; i++) yield i
        return 'done'
      })
      const stop = offer('stop', () => void (turn = false))
      const all = await b.members(2, () => ({ offers: [long, stop, offer('count', counting())] }))
      assert.equal(await b.call(all[1]!, 'count', 1000), 'done')
      const running = b.call(all[0]!, 'long')
      await b.call(all[1]!, 'stop')
      assert.equal(await running, 'done')
    })

    suite('patience is for each item, and not for a reader that takes its time', async (b) => {
      const slow = offer('slow', async function* ({ params }) {
        for (let i = 0; i < 4; i++) {
          yield i
          await new Promise((resolve) => setTimeout(resolve, 60))
        }
        if (params === 'hang') await new Promise(() => {})
        return 'done'
      })
      const all = await b.members(2, () => ({ offers: [slow] }))
      for (const from of all) {
        const more = { patienceMs: 150 }
        assert.deepEqual(await readAll(b.stream(from, 'slow', 1, TO_PRIMARY, more)), { items: upTo(4), value: 'done' })
        const unread = b.stream(from, 'slow', 1, TO_PRIMARY, more)
        await new Promise((resolve) => setTimeout(resolve, 600))
        assert.deepEqual(await readAll(unread), { items: upTo(4), value: 'done' })
        const hanging = b.stream(from, 'slow', 'hang', TO_PRIMARY, more)
        const items: unknown[] = []
        await assert.rejects(async () => {
          for (;;) items.push((await hanging.next()).value)
        }, code('TIMEOUT'))
        assert.deepEqual(items, upTo(4))
      }
    })

    suite(`one member serves ${MAX_STREAMS} streams, and refuses one more`, async (b) => {
      let ran = 0
      let release!: () => void
      const released = new Promise<void>((resolve) => (release = resolve))
      const hang = offer('hang', async function* () {
        ran++
        yield 1
        await released
      })
      const all = await b.members(2, () => ({ offers: [hang] }))
      const open = upTo(MAX_STREAMS).map(() => b.stream(all[1]!, 'hang'))
      for (const one of open) await one.next()
      const refused = b.stream(all[1]!, 'hang')
      await assert.rejects(refused.next(), code('OVERLOADED', { outcome: 'not-committed' }))
      assert.equal(ran, MAX_STREAMS, 'what it would have opened stays closed')
      for (const one of open) one.cancel()
      // Each leaves its place to another when its handler ends.
      release()
      await until(async () => {
        const again = b.stream(all[1]!, 'hang')
        const began = await again.next().then(
          () => true,
          () => false,
        )
        again.cancel()
        return began
      }, 'a place')
    })

    suite('an idempotent one starts again elsewhere when its callee dies, with the next attempt', async (b) => {
      const from = (name: string) =>
        offer(
          'work',
          async function* ({ attempt }) {
            yield `${name} ${attempt}`
            if (attempt === 1) await new Promise(() => {})
            return 'done'
          },
          { to: 'any' },
        )
      const [, one, two, caller] = await b.members(4, (i) => ({ offers: i === 1 || i === 2 ? [from(`m${i}`)] : [] }))
      const stream = b.stream(caller!, 'work', null, TO_ANY, { idempotent: true })
      const first = (await stream.next()).value as string
      b.world.kill(first.startsWith('m1') ? one! : two!)
      const { items, value } = await readAll(stream)
      assert.deepEqual([items, value], [[first.startsWith('m1') ? 'm2 2' : 'm1 2'], 'done'])
    })

    suite('ends when the callee dies, if it may not be repeated', async (b) => {
      const hang = offer('hang', async function* () {
        yield 1
        await new Promise(() => {})
      })
      const [primary, callee] = await b.members(2, () => ({ offers: [hang] }))
      const stream = b.stream(primary!, 'hang', null, toId(callee!.self.id))
      await stream.next()
      b.world.kill(callee!)
      await assert.rejects(
        stream.next(),
        (error) => ConclaveError.is(error, 'CALLEE_LOST') && error.outcome === 'unknown',
      )
    })
  })
}
