import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { EngineStream, Engine, EngineCall, EngineOffer, EngineStatus } from '../../engine/engine.ts'
import { ConclaveError, type Code } from '../../errors/index.ts'
import type { ActiveSubscription, From } from '../../events/subscriber.ts'
import type { Event } from '../../events/types.ts'
import { TO_ANY, TO_DEFAULT, TO_PRIMARY, type Target } from '../../rpc/address.ts'
import { encodeBody } from '../../rpc/body.ts'
import type { IncomingRequest } from '../../rpc/run.ts'
import { TARGET } from '../../wire/frame.ts'

export interface EngineOptions {
  readonly name?: string
  readonly primary?: 'may' | 'never' | 'must'
  readonly waitMs?: number
  readonly version?: number
  readonly minVersion?: number
  readonly limits?: Readonly<Record<string, number>>
  readonly whilePrimary?: (term: number) => Promise<() => Promise<void>>
  /** Offered before it joins. */
  readonly offers?: readonly EngineOffer[]
  /** Default true: handlers run as soon as it has joined. */
  readonly open?: boolean
  readonly ref?: boolean
}

/** One workspace, and members that join it. */
export interface EngineWorld {
  /** A member that begins to join. */
  begin(options: EngineOptions): { readonly engine: Engine; readonly joined: Promise<void> }
  /** As SIGKILL: nobody hears a goodbye. */
  kill(engine: Engine): void
  /** Breaks a member's link; both sides live on. */
  cut(engine: Engine): void
  /** What it is sent waits unread: a secondary's link, or all links of a primary. @returns how to go on */
  pause(engine: Engine): () => void
  dispose(): Promise<void>
}

export interface Got extends Event {
  readonly missed: number
  readonly atLeast: number
}

/** A generous limit: no test asserts a time. */
const LIMIT_MS = 20_000

export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const end = performance.now() + LIMIT_MS
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`waited ${LIMIT_MS / 1000} s for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** Stands for an error of ours with this code, and with these details. */
export function code(expected: Code, details: { outcome?: string; reason?: string; data?: unknown } = {}) {
  return (error: unknown): boolean => {
    assert(ConclaveError.is(error), `not an error of ours: ${String(error)}`)
    assert.equal(error.code, expected, error.message)
    for (const [key, value] of Object.entries(details)) {
      assert.deepEqual((error as unknown as Record<string, unknown>)[key], value, `${key} of: ${error.message}`)
    }
    return true
  }
}

export const toId = (id: string): Target => ({ mode: TARGET.ID, text: id })
export const toName = (name: string): Target => ({ mode: TARGET.NAME, text: name })

export function offer(method: string, handler: (request: IncomingRequest) => unknown, more = {}): EngineOffer {
  return { method, to: 'primary', concurrency: 0, handler, ...more }
}

type CallMore = Partial<EngineCall> & { readonly timeoutMs?: number }

function callOf(engine: Engine, method: string, params: unknown, target: Target, more: CallMore): EngineCall {
  const { timeoutMs = LIMIT_MS, ...rest } = more
  return { method, body: encodeBody(params, 'It'), target, deadline: engine.now() + timeoutMs, ...rest }
}

/** What tests say most. */
export class EngineBench {
  readonly world: EngineWorld

  constructor(world: EngineWorld) {
    this.world = world
  }

  async join(options: EngineOptions = {}): Promise<Engine> {
    const { engine, joined } = this.world.begin(options)
    await joined
    return engine
  }

  /** The first is the primary. */
  async members(count: number, options: (index: number) => EngineOptions = () => ({})): Promise<Engine[]> {
    const engines: Engine[] = []
    for (let i = 0; i < count; i++) engines.push(await this.join({ name: `m${i}`, ...options(i) }))
    assert.equal(engines[0]?.role, 'primary')
    return engines
  }

  call(
    from: Engine,
    method: string,
    params?: unknown,
    target: Target = TO_PRIMARY,
    more: CallMore = {},
  ): Promise<unknown> {
    return from.call(callOf(from, method, params, target, more))
  }

  stream(
    from: Engine,
    method: string,
    params?: unknown,
    target: Target = TO_PRIMARY,
    more: CallMore = {},
  ): EngineStream {
    return from.stream(callOf(from, method, params, target, more))
  }

  notify(
    from: Engine,
    method: string,
    params?: unknown,
    target: Target = TO_PRIMARY,
    more: CallMore = {},
  ): Promise<void> {
    return from.notify(callOf(from, method, params, target, more))
  }

  publish(from: Engine, topic: string, data?: unknown): Promise<number> {
    return from.publish(topic, encodeBody(data, 'It'))
  }

  async subscribe(
    engine: Engine,
    pattern: string,
    more: { from?: From; maxQueued?: number; overflow?: 'drop-oldest' | 'drop-newest' | 'disconnect' } = {},
  ): Promise<ActiveSubscription<Got>> {
    const request = { from: 'now' as const, maxQueued: undefined, overflow: undefined, ...more, pattern }
    const subscription = engine.subscribe(request, (event, missed, atLeast): Got => ({ ...event, missed, atLeast }))
    await subscription.ready
    return subscription
  }

  statuses(engine: Engine): EngineStatus[] {
    const heard: EngineStatus[] = []
    engine.onStatus((status) => heard.push(status))
    return heard
  }
}

export function benchTest(
  makeWorld: () => EngineWorld,
): (title: string, body: (b: EngineBench) => Promise<void>) => void {
  return (title, body) => {
    test(title, async () => {
      const world = makeWorld()
      try {
        await body(new EngineBench(world))
      } finally {
        await world.dispose()
      }
    })
  }
}

/** A generator handler that counts up to its params, each number with some padding, and returns `done`. */
export function counting(bytes = 0): (request: IncomingRequest) => AsyncGenerator<unknown, string> {
  const pad = 'x'.repeat(bytes)
  return async function* ({ params }) {
    for (let i = 0; i < (params as number); i++) yield bytes === 0 ? i : { i, pad }
    return 'done'
  }
}

const who = (name: string): EngineOffer => offer('who', ({ params, caller }) => ({ name, params, from: caller.name }))

/** What every engine promises (src/engine/engine.ts), as tests. */
export function engineSuite(name: string, makeWorld: () => EngineWorld): void {
  const suite = benchTest(makeWorld)

  describe(`engine: ${name}: election`, () => {
    suite('of those that join at once, one is primary, and all agree who', async (b) => {
      const all = await Promise.all(Array.from({ length: 6 }, (_, i) => b.join({ name: `m${i}` })))
      const [primary, ...others] = all.filter(({ role }) => role === 'primary')
      assert.equal(others.length, 0)
      for (const one of all) {
        assert.equal(one.term, primary?.term)
        assert.equal(one.primary?.id, primary?.self.id)
        assert.equal(await b.call(one, 'nothing').catch((error: ConclaveError) => error.code), 'METHOD_NOT_FOUND')
      }
    })

    suite("'never' finds nobody; 'must' finds somebody; 'never' waits as long as asked", async (b) => {
      await assert.rejects(b.join({ primary: 'never' }), code('NO_PRIMARY'))
      const waiting = b.join({ primary: 'never', waitMs: LIMIT_MS })
      const first = await b.join({ primary: 'must' })
      assert.equal(first.role, 'primary')
      assert.equal((await waiting).role, 'secondary')
      await assert.rejects(b.join({ primary: 'must' }), code('PRIMARY_EXISTS'))
    })

    suite('whilePrimary runs before others are served, and ends before the next one starts', async (b) => {
      const log: string[] = []
      const whilePrimary =
        (who: string) =>
        async (term: number): Promise<() => Promise<void>> => {
          log.push(`${who} starts ${term}`)
          await new Promise((resolve) => setTimeout(resolve, 10))
          log.push(`${who} started`)
          return async () => {
            log.push(`${who} stops`)
            await new Promise((resolve) => setTimeout(resolve, 20))
            log.push(`${who} stopped`)
          }
        }
      const first = await b.join({ name: 'a', whilePrimary: whilePrimary('a') })
      const second = await b.join({ name: 'b', whilePrimary: whilePrimary('b') })
      await first.close({ timeoutMs: LIMIT_MS })
      await until(() => second.role === 'primary' && log.length === 6, 'the second to serve')
      assert.deepEqual(log, ['a starts 1', 'a started', 'a stops', 'a stopped', 'b starts 2', 'b started'])
    })
  })

  describe(`engine: ${name}: calls`, () => {
    suite('reach the primary, any, a name, an id, a slot; from the primary as from others', async (b) => {
      const all = await b.members(3, (i) => ({ offers: [who(`m${i}`), offer('any', () => i, { to: 'any' })] }))
      for (const from of all) {
        const answer = (name: string): unknown => ({ name, params: { x: 1 }, from: from.self.name })
        assert.deepEqual(await b.call(from, 'who', { x: 1 }), answer('m0'))
        assert.deepEqual(await b.call(from, 'who', { x: 1 }, TO_DEFAULT), answer('m0'))
        assert.notEqual(await b.call(from, 'any', null, TO_DEFAULT), 0, 'others before the primary')
        assert.notEqual(await b.call(from, 'any', null, TO_ANY), 0)
        const { peers } = await from.peers({ method: 'who' }, from.now() + LIMIT_MS)
        for (const to of all) {
          assert.deepEqual(await b.call(from, 'who', { x: 1 }, toId(to.self.id)), answer(to.self.name))
          assert.deepEqual(await b.call(from, 'who', { x: 1 }, toName(to.self.name)), answer(to.self.name))
          const slot = peers.find(({ id }) => id === to.self.id)!.slot
          assert.deepEqual(await b.call(from, 'who', { x: 1 }, { mode: TARGET.SLOT, slot }), answer(to.self.name))
        }
      }
    })

    suite('that reach nobody say so at once, C8 a name held twice too', async (b) => {
      const all = await b.members(3, (i) => ({ name: i === 0 ? 'first' : 'twin' }))
      for (const from of all) {
        const fails = (target: Target, expected: Code): Promise<void> =>
          assert.rejects(b.call(from, 'none', 1, target), code(expected, { outcome: 'not-committed' }))
        await fails(TO_PRIMARY, 'METHOD_NOT_FOUND')
        await fails(TO_DEFAULT, 'METHOD_NOT_FOUND')
        await fails(TO_ANY, 'METHOD_NOT_FOUND')
        await fails(toName('first'), 'METHOD_NOT_FOUND')
        await fails(toName('twin'), 'AMBIGUOUS_TARGET')
        await fails(toName('nobody'), 'MEMBER_NOT_FOUND')
        await fails(toId('AAAAAAAAAAAAAAAAAAAAAA'), 'MEMBER_NOT_FOUND')
        await fails({ mode: TARGET.SLOT, slot: 4711 }, 'MEMBER_NOT_FOUND')
        await fails({ mode: 99 }, 'INVALID_REQUEST')
      }
    })

    suite('carry any value there and back, up to 16 MiB', async (b) => {
      const all = await b.members(3, () => ({ offers: [offer('echo', ({ params }) => params)] }))
      const long = 'ä'.repeat(3_000_000)
      const bytes = new Uint8Array(16 * 1024 * 1024).fill(7)
      for (const value of [undefined, null, 0, '', 'ä€😀', [1, { a: [] }], new Uint8Array(0), bytes, long]) {
        for (const [from, to] of [
          [0, 0],
          [0, 1],
          [1, 0],
          [1, 1],
          [1, 2],
        ] as const) {
          const back = await b.call(all[from]!, 'echo', value, toId(all[to]!.self.id))
          if (value instanceof Uint8Array) assert.ok(Buffer.from(back as Uint8Array).equals(value))
          else assert.deepEqual(back, value)
        }
      }
    })

    suite('with a body over the limit are refused, a result over it is an error; the link lives on', async (b) => {
      const limits = { maxBodyBytes: 100_000 }
      const echo = offer('echo', ({ params }) => 'x'.repeat(params as number))
      const all = await b.members(2, () => ({
        limits,
        offers: [echo, offer('size', ({ params }) => (params as string).length)],
      }))
      for (const from of all) {
        for (const to of all) {
          const target = toId(to.self.id)
          await assert.rejects(b.call(from, 'size', 'x'.repeat(100_001), target), code('TOO_LARGE'))
          await assert.rejects(b.call(from, 'echo', 100_001, target), code('TOO_LARGE'))
          assert.equal(await b.call(from, 'size', 'x'.repeat(90_000), target), 90_000)
        }
      }
    })

    suite('that fail bring code, data and reason of what was thrown', async (b) => {
      const thrown: Record<string, unknown> = {
        ours: new ConclaveError('CONFLICT', 'is there', { data: { id: 1 }, outcome: 'not-committed' }),
        theirs: Object.assign(new TypeError('bad'), { code: 'E_BAD', data: [1] }),
        plain: 'just text',
        endless: Object.assign(new Error('much'), { data: 'x'.repeat(17 * 1024 * 1024) }),
      }
      const fail = offer('fail', ({ params }) => {
        throw thrown[params as string] as Error
      })
      const late = offer('late', ({ params }) => Promise.reject(thrown[params as string] as Error))
      const bad = offer('bad', () => 1n)
      const all = await b.members(2, () => ({ offers: [fail, late, bad] }))
      for (const from of all) {
        for (const to of all) {
          const target = toId(to.self.id)
          for (const method of ['fail', 'late']) {
            const ours = code('CONFLICT', { data: { id: 1 }, outcome: 'not-committed' })
            await assert.rejects(b.call(from, method, 'ours', target), ours)
            await assert.rejects(b.call(from, method, 'theirs', target), code('FAILED', { reason: 'E_BAD', data: [1] }))
            await assert.rejects(b.call(from, method, 'plain', target), code('FAILED'))
            await assert.rejects(b.call(from, method, 'endless', target), code('TOO_LARGE'))
          }
          await assert.rejects(b.call(from, 'bad', null, target), code('INVALID_RESULT'))
        }
      }
    })

    suite('notify ends when the switchboard has it, whatever the handler does', async (b) => {
      const heard: unknown[] = []
      const hear = offer('hear', ({ params }) => {
        heard.push(params)
        throw new Error('nobody cares')
      })
      const all = await b.members(2, () => ({ offers: [hear] }))
      for (const from of all) for (const to of all) await b.notify(from, 'hear', 1, toId(to.self.id))
      await b.notify(all[1]!, 'hear', 'x'.repeat(200_000), TO_PRIMARY)
      await b.notify(all[1]!, 'no such method')
      await assert.rejects(b.notify(all[1]!, 'hear', 1, toName('nobody')), code('MEMBER_NOT_FOUND'))
      await until(() => heard.length === 5, 'five notifications')
    })

    suite('peers says who would be asked, and who is absent', async (b) => {
      const all = await b.members(3, (i) => ({ name: i === 2 ? 'm1' : `m${i}`, offers: i > 0 ? [who('x')] : [] }))
      const ids = all.map(({ self }) => self.id)
      const offering = async (): Promise<number> => (await all[0]!.peers({ method: 'who' }, Infinity)).peers.length
      await until(async () => (await offering()) === 2, 'their offers')
      for (const [i, from] of all.entries()) {
        const asked = async (to: Parameters<Engine['peers']>[0]['to']): Promise<string[]> =>
          (await from.peers({ method: 'who', to }, from.now() + LIMIT_MS)).peers.map(({ id }) => id)
        assert.deepEqual(await asked(undefined), ids.slice(1))
        assert.deepEqual(await asked('all'), ids)
        assert.deepEqual(await asked('others'), ids.toSpliced(i, 1))
        assert.deepEqual(await asked({ name: 'm1' }), ids.slice(1))
        const some = await from.peers({ method: 'who', to: { ids: [ids[0]!, 'gone'] } }, from.now() + LIMIT_MS)
        assert.deepEqual([some.peers.map(({ id }) => id), some.absent], [[ids[0]], ['gone']])
        await assert.rejects(asked(5 as never), code('INVALID_PARAMS'))
      }
    })

    suite('end at their deadline, and the handler is told', async (b) => {
      const told: unknown[] = []
      let started = 0
      const hang = offer('hang', ({ signal }) => {
        started++
        signal.addEventListener('abort', () => told.push(signal.reason))
        return new Promise(() => {})
      })
      const all = await b.members(2, () => ({ offers: [hang] }))
      for (const from of all) {
        for (const to of all) {
          const target = toId(to.self.id)
          const before = started
          // On a busy machine it may not be there in time: then with more time.
          for (let timeoutMs = 20; started === before; timeoutMs *= 4) {
            const error: unknown = await b.call(from, 'hang', 1, target, { timeoutMs }).catch((e: unknown) => e)
            assert.ok(ConclaveError.is(error, 'TIMEOUT'))
            if (started > before) assert.equal(error.outcome, 'unknown')
          }
        }
        for (const timeoutMs of [0, -5, NaN, -Infinity]) {
          await assert.rejects(
            b.call(from, 'hang', 1, TO_PRIMARY, { timeoutMs }),
            code('TIMEOUT', { outcome: 'not-committed' }),
          )
        }
      }
      await until(() => told.length === started, 'an abort for each')
      assert.ok(started >= 4)
      assert.ok(told.every((reason) => ConclaveError.is(reason, 'ABORTED')))
    })

    suite('A14 a request that comes after its deadline is never started', async (b) => {
      let ran = 0
      const once = (): EngineOffer[] => [offer('once', () => ++ran)]
      const [first, second] = [
        await b.join({ offers: once(), open: false }),
        await b.join({ offers: once(), open: false }),
      ]
      for (const from of [first, second]) {
        for (const to of [first, second]) {
          await assert.rejects(b.call(from, 'once', 1, toId(to.self.id), { timeoutMs: 20 }), code('TIMEOUT'))
        }
      }
      const late = b.call(second, 'once')
      for (const one of [first, second]) one.open()
      assert.equal(await late, 1, 'only the one that has time left')
    })

    suite('that are aborted end at once, and the handler is told', async (b) => {
      let aborts = 0
      let runs = 0
      const hang = offer('hang', ({ signal }) => {
        runs++
        signal.addEventListener('abort', () => aborts++)
        return new Promise(() => {})
      })
      const all = await b.members(2, () => ({ offers: [hang] }))
      for (const from of all) {
        for (const to of all) {
          const stop = new AbortController()
          const before = runs
          const call = b.call(from, 'hang', 1, toId(to.self.id), { signal: stop.signal })
          await until(() => runs > before, 'it to run')
          stop.abort('enough')
          await assert.rejects(
            call,
            (error) => code('ABORTED', { outcome: 'unknown' })(error) && (error as Error).cause === 'enough',
          )
          await assert.rejects(
            b.call(from, 'hang', 1, TO_PRIMARY, { signal: stop.signal }),
            code('ABORTED', { outcome: 'not-committed' }),
          )
        }
      }
      await until(() => aborts === 4, 'four aborts')
    })

    suite('offers and withdrawals are in force with the call', async (b) => {
      const all = await b.members(2)
      for (const one of all) {
        one.offer(who('late'))
        assert.throws(() => one.offer(who('twice')), code('CONFLICT'))
        for (const method of ['', 'a\0b', 'x'.repeat(1025)])
          assert.throws(() => one.offer(offer(method, () => 1)), code('INVALID_OPTION'))
        for (const from of all) await b.call(from, 'who', 1, toId(one.self.id))
        one.withdraw('who')
        for (const from of all)
          await assert.rejects(b.call(from, 'who', 1, toId(one.self.id)), code('METHOD_NOT_FOUND'))
      }
    })
  })

  describe(`engine: ${name}: closing`, () => {
    suite('close drains: what was asked is answered, in both directions; then everything is CLOSED', async (b) => {
      const slow = (): EngineOffer => offer('slow', async () => (await new Promise((r) => setTimeout(r, 30)), 'late'))
      const [first, second, third] = (await b.members(3, () => ({ offers: [slow()] }))) as [Engine, Engine, Engine]
      for (const closing of [second, first]) {
        const calls = [b.call(third, 'slow', 1, toId(closing.self.id)), b.call(closing, 'slow', 1, toId(third.self.id))]
        await until(
          async () => (await third.inspect(third.now() + LIMIT_MS)).counters['calls.relayed']! >= 2,
          'them to go',
        )
        await Promise.all([closing.close({ timeoutMs: LIMIT_MS }), closing.close({ timeoutMs: 0 })])
        assert.deepEqual(await Promise.all(calls), ['late', 'late'])
        assert.deepEqual(await closing.closed, { type: 'closed' })
        await assert.rejects(b.call(closing, 'slow'), code('CLOSED', { outcome: 'not-committed' }))
        await assert.rejects(b.notify(closing, 'slow'), code('CLOSED'))
        await assert.rejects(b.stream(closing, 'slow').next(), code('CLOSED'))
        await assert.rejects(b.publish(closing, 'x'), code('CLOSED'))
        await assert.rejects(closing.peers({ method: 'slow' }, Infinity), code('CLOSED'))
        await assert.rejects(closing.inspect(Infinity), code('CLOSED'))
        await assert.rejects(b.subscribe(closing, 'x'), code('CLOSED'))
        assert.throws(() => closing.offer(slow()), code('CLOSED'))
        closing.withdraw('slow')
        closing.abort('late')
        await closing.close({ timeoutMs: 0 })
      }
      await until(() => third.role === 'primary', 'the last one to serve')
    })

    suite('abort ends everything at once with its reason', async (b) => {
      const hang = offer('hang', () => new Promise(() => {}))
      for (const index of [1, 0]) {
        const all = await b.members(2, () => ({ offers: [hang] }))
        const one = all[index]!
        const { queue } = await b.subscribe(one, 'x')
        const ends = [b.call(one, 'hang'), b.stream(one, 'hang').next(), queue.next()]
        const ended = Promise.allSettled(ends)
        await until(() => one.counters()['pending'] === 2, 'them to be on their way')
        one.abort('enough')
        for (const end of await ended) {
          assert.equal(end.status, 'rejected')
          assert.ok(code('ABORTED')((end as PromiseRejectedResult).reason))
        }
        assert.deepEqual(await one.closed, { type: 'aborted', cause: 'enough' })
        for (const other of all) other.abort('over')
      }
    })

    suite('close and abort while it joins end the join', async (b) => {
      const first = await b.join()
      const go = b.world.pause(first)
      for (const end of [(e: Engine) => e.close({ timeoutMs: 0 }), (e: Engine) => e.abort('no')]) {
        const { engine, joined } = b.world.begin({})
        const rejected = assert.rejects(joined, code('ABORTED'))
        await Promise.resolve(end(engine))
        await rejected
        assert.match((await engine.closed).type, /closed|aborted/)
      }
      go()
      assert.equal((await b.join()).role, 'secondary')
    })
  })
}
