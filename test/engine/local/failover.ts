import assert from 'node:assert/strict'
import { describe } from 'node:test'
import type { Engine } from '../../../src/engine/engine.ts'
import type { ConclaveError } from '../../../src/errors/index.ts'
import { TO_ANY, TO_DEFAULT, TO_PRIMARY } from '../../../src/rpc/address.ts'
import { MAX_CALLS_IN_FLIGHT } from '../../../src/rpc/limits.ts'
import { benchTest, code, offer, toId, toName, until } from '../../../src/testing/conformance/engine.ts'
import type { IncomingRequest } from '../../../src/rpc/run.ts'
import { readAll } from './streams.ts'
import type { LocalWorld } from './world.ts'

const LIMIT_MS = 20_000

/** A handler whose runs are answered from outside. */
export class Gate {
  readonly runs: IncomingRequest[] = []
  readonly #open: (() => void)[] = []

  readonly handler = async (request: IncomingRequest): Promise<unknown> => {
    this.runs.push(request)
    await new Promise<void>((resolve) => this.#open.push(resolve))
    return [request.params, request.attempt]
  }

  open(): void {
    for (const resolve of this.#open.splice(0)) resolve()
  }

  async reached(count: number): Promise<void> {
    await until(() => this.runs.length >= count, `${count} runs`)
  }
}

export function failoverSuite(name: string, makeWorld: () => LocalWorld): void {
  const suite = benchTest(makeWorld)

  describe(`engine: ${name}: losses`, () => {
    suite('B15 a callee dies: repeated elsewhere when idempotent, else CALLEE_LOST with outcome unknown', async (b) => {
      const gates = [new Gate(), new Gate(), new Gate()]
      const all = await b.members(4, (i) => ({
        offers: i === 0 || i === 3 ? [] : [offer('work', gates[i]!.handler, { to: 'any' })],
      }))
      const work = (idempotent: boolean): Promise<unknown>[] =>
        [0, 0, 3, 3].map((from) => b.call(all[from]!, 'work', 1, TO_ANY, { idempotent }))
      const calls = work(true)
      const lost = work(false).map((call) => call.catch((e: ConclaveError) => e))
      await until(() => gates[1]!.runs.length + gates[2]!.runs.length === 8, 'eight runs')
      assert.equal(gates[1]!.runs.length, 4, 'two of each kind')
      b.world.kill(all[1]!)
      await until(() => gates[2]!.runs.length === 6, 'two repeats')
      gates[2]!.open()
      const results = (await Promise.all(calls)) as [params: number, attempt: number][]
      assert.ok(results.every(([params]) => params === 1))
      const attempts = results.map(([, attempt]) => attempt)
      assert.deepEqual(
        attempts.toSorted((p, q) => p - q),
        [1, 1, 2, 2],
      )
      const ends = (await Promise.all(lost)).filter((end) => !Array.isArray(end))
      assert.equal(ends.length, 2)
      for (const end of ends) assert.ok(code('CALLEE_LOST', { outcome: 'unknown' })(end))
    })

    suite(
      'B15 a new primary: the repeat attaches to the run in progress; what is not idempotent is aborted',
      async (b) => {
        const gate = new Gate()
        const all = await b.members(3, (i) => ({ offers: i === 1 ? [offer('work', gate.handler)] : [] }))
        const target = toId(all[1]!.self.id)
        const call = b.call(all[2]!, 'work', 'a', target, { idempotent: true })
        const lost = b.call(all[2]!, 'work', 'b', target)
        await gate.reached(2)
        const [first, second] = gate.runs
        const signal = second!.signal
        b.world.kill(all[0]!)
        await assert.rejects(lost, code('DISCONNECTED', { outcome: 'unknown' }))
        await until(() => all[2]!.primary !== undefined, 'the successor')
        await until(() => all[1]!.counters()['attached'] === 1, 'the repeat')
        assert.equal(signal.aborted, true)
        assert.equal(first!.signal.aborted, false)
        gate.open()
        assert.deepEqual(await call, ['a', 1])
        assert.equal(gate.runs.length, 2)
      },
    )

    suite('B15 an answer that was lost with the primary is kept and given to the repeat', async (b) => {
      let runs = 0
      const all = await b.members(3, (i) => ({ offers: i === 1 ? [offer('once', () => ++runs)] : [] }))
      const go = b.world.pause(all[2]!)
      const call = b.call(all[2]!, 'once', null, toId(all[1]!.self.id), { idempotent: true })
      await until(() => runs === 1 && all[1]!.counters()['running'] === 0, 'the run')
      await new Promise((resolve) => setTimeout(resolve, 20))
      b.world.kill(all[0]!)
      if (name === 'memory') b.world.cut(all[2]!)
      go()
      assert.equal(await call, 1)
      assert.equal(runs, 1)
    })

    suite(
      'C2 a caller whose link breaks and comes back: an idempotent call is run again, not answered ABORTED',
      async (b) => {
        const gate = new Gate()
        const all = await b.members(3, (i) => ({ offers: i === 1 ? [offer('work', gate.handler)] : [] }))
        const call = b.call(all[2]!, 'work', 'a', toId(all[1]!.self.id), { idempotent: true })
        await gate.reached(1)
        b.world.cut(all[2]!)
        await gate.reached(2)
        assert.equal(gate.runs[0]!.signal.aborted, true, 'its caller was gone')
        gate.open()
        assert.deepEqual(await call, ['a', 2])
      },
    )

    suite('A8 the last words of a dead primary are heard before anything is repeated', async (b) => {
      let runs = 0
      const once = offer('once', () => {
        runs++
        return 'x'.repeat(1000)
      })
      const all = await b.members(2, (i) => ({ offers: i === 0 ? [once] : [] }))
      const go = b.world.pause(all[1]!)
      const calls = Array.from({ length: 50 }, () => b.call(all[1]!, 'once'))
      await until(() => runs === 50, '50 runs')
      await new Promise((resolve) => setTimeout(resolve, 10))
      b.world.kill(all[0]!)
      await new Promise((resolve) => setTimeout(resolve, 10))
      const late = assert.rejects(b.call(all[1]!, 'once'), code('METHOD_NOT_FOUND'))
      go()
      assert.equal((await Promise.all(calls)).length, 50)
      await late
      assert.equal(runs, 50)
    })

    suite('the handler hears that its caller disconnected', async (b) => {
      const gate = new Gate()
      const all = await b.members(3, () => ({ offers: [offer('work', gate.handler)] }))
      for (const to of [all[0]!, all[1]!]) void b.call(all[2]!, 'work', 1, toId(to.self.id)).catch(() => {})
      await gate.reached(2)
      const signals = gate.runs.map(({ signal }) => signal)
      b.world.kill(all[2]!)
      await until(() => signals.every(({ aborted }) => aborted), 'two aborts')
      assert.ok(signals.every(({ reason }) => code('ABORTED')(reason)))
      gate.open()
    })

    suite('F2 A13 hand-overs under load: no caller fails, nothing that is not idempotent runs twice', async (b) => {
      const ran = new Map<string, number>()
      const bump = offer('bump', async ({ params }) => {
        const [key] = params as [string]
        ran.set(key, (ran.get(key) ?? 0) + 1)
        await new Promise((resolve) => setTimeout(resolve, 3))
        return params
      })
      const narrow = { ...bump, method: 'narrow', to: 'any' as const, concurrency: 1 }
      const member = (n: number): Promise<Engine> => b.join({ name: `m${n}`, offers: [bump, narrow] })
      const primaries = [await member(0), await member(1), await member(2), await member(3)]
      const callers = [await b.join({ primary: 'never' }), await b.join({ primary: 'never' })]
      let stop = false
      let calls = 0
      const load = async (from: Engine, lane: number): Promise<void> => {
        for (let i = 0; !stop; i++) {
          const key = `${from.self.id} ${lane} ${i}`
          const pad = lane === 0 ? 'x'.repeat(400_000) : ''
          const [method, target] = lane % 3 === 1 ? (['narrow', TO_ANY] as const) : (['bump', TO_PRIMARY] as const)
          const back = await b.call(from, method, [key, pad], target)
          assert.deepEqual(back, [key, pad])
          calls++
        }
      }
      const loads = callers.flatMap((from) => Array.from({ length: 8 }, (_, lane) => load(from, lane)))
      const ended = Promise.allSettled(loads)
      for (let handover = 0; handover < 6; handover++) {
        const before = calls
        await until(() => calls > before + 100 || stop, 'calls')
        const primary = primaries.find(({ role }) => role === 'primary')
        if (primary === undefined) {
          handover--
          await new Promise((resolve) => setTimeout(resolve, 5))
          continue
        }
        primaries.splice(primaries.indexOf(primary), 1)
        await primary.close({ timeoutMs: LIMIT_MS })
        primaries.push(await member(handover + 4))
      }
      const before = calls
      await until(() => calls > before + 100, 'calls after the last one')
      stop = true
      for (const end of await ended) {
        if (end.status === 'rejected') throw end.reason
      }
      assert.ok([...ran.values()].every((times) => times === 1))
      assert.equal(ran.size, calls)
    })

    suite('A13 a secondary that closes answers what was passed on to it; others get the rest', async (b) => {
      const work = offer('work', async ({ params }) => (await new Promise((r) => setTimeout(r, 2)), params), {
        to: 'any',
      })
      const [primary] = await b.members(1)
      const workers = [await b.join({ offers: [work] }), await b.join({ offers: [work] })]
      const caller = await b.join()
      await until(async () => (await caller.peers({ method: 'work' }, Infinity)).peers.length === 2, 'their offers')
      let stop = false
      const load = async (): Promise<void> => {
        for (let i = 0; !stop; i++) assert.equal(await b.call(caller, 'work', i, TO_ANY), i)
      }
      const loads = Promise.all(Array.from({ length: 10 }, load))
      for (let round = 0; round < 10; round++) {
        await new Promise((resolve) => setTimeout(resolve, 5))
        workers.push(await b.join({ offers: [work] }))
        await until(async () => (await caller.peers({ method: 'work' }, Infinity)).peers.length === 3, 'the third')
        await workers.shift()!.close({ timeoutMs: LIMIT_MS })
      }
      stop = true
      await loads
      assert.equal(primary!.role, 'primary')
    })

    suite('A13 a request that is on its way to a secondary as it closes is still answered', async (b) => {
      const all = await b.members(3, (i) => ({ offers: i === 1 ? [offer('work', ({ params }) => params)] : [] }))
      const go = b.world.pause(all[1]!)
      const call = b.call(all[2]!, 'work', 'x', toId(all[1]!.self.id))
      await until(async () => (await all[2]!.inspect(Infinity)).links[1]?.servingCalls === 1, 'it to be passed on')
      const closed = all[1]!.close({ timeoutMs: LIMIT_MS })
      await new Promise((resolve) => setTimeout(resolve, 10))
      go()
      assert.equal(await call, 'x')
      await closed
    })

    suite('A13 streams and long answers that were begun end in order during a hand-over', async (b) => {
      const count = offer('count', async function* ({ params }) {
        for (let i = 0; i < 600; i++) {
          if (i % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 2))
          yield { i, pad: 'x'.repeat(params as number) }
        }
        return 'y'.repeat(2_000_000)
      })
      const big = offer('big', () => 'z'.repeat(8_000_000))
      const all = await b.members(3, () => ({ offers: [count, big] }))
      const streams = [0, 1].map((to) => b.stream(all[2]!, 'count', 2000, toId(all[to]!.self.id)))
      for (const stream of streams) await stream.next()
      const long = [0, 1].map((to) => b.call(all[2]!, 'big', null, toId(all[to]!.self.id)))
      await until(async () => (await all[2]!.inspect(Infinity)).counters['calls.relayed']! >= 4, 'them to go')
      const reading = streams.map(readAll)
      await all[0]!.close({ timeoutMs: LIMIT_MS })
      for (const { items, value } of await Promise.all(reading)) {
        assert.equal(items.length, 599)
        assert.equal((value as string).length, 2_000_000)
      }
      for (const value of await Promise.all(long)) assert.equal((value as string).length, 8_000_000)
    })

    suite('B14 in a new term an unknown target waits, and a gather too', async (b) => {
      const limits = { graceMs: LIMIT_MS }
      const only = offer('only', ({ params }) => params, { to: 'any' })
      const all = await b.members(4, (i) => ({
        limits,
        offers: [offer('who', ({ params }) => params), ...(i === 2 ? [only] : [])],
      }))
      // The third comes back only when it reads that its primary is gone.
      const go = b.world.pause(all[2]!)
      b.world.kill(all[0]!)
      if (name === 'memory') await new Promise((resolve) => setTimeout(resolve, 5))
      await until(() => all[1]!.primary !== undefined && all[3]!.primary !== undefined, 'a successor')
      let ended = 0
      const waiting = [
        b.call(all[3]!, 'who', 1, toName('m2')),
        b.call(all[1]!, 'who', 1, toId(all[2]!.self.id)),
        b.call(all[3]!, 'only', 1, TO_ANY),
        b.call(all[3]!, 'only', 1, TO_DEFAULT),
        all[1]!.peers({ method: 'who', to: 'all' }, Infinity).then(({ peers }) => peers.length),
      ].map((one) => one.finally(() => ended++))
      await new Promise((resolve) => setTimeout(resolve, 30))
      assert.equal(ended, 0)
      go()
      assert.deepEqual(await Promise.all(waiting), [1, 1, 1, 1, 3])
      await assert.rejects(b.call(all[1]!, 'who', 1, toName('nobody')), code('MEMBER_NOT_FOUND'))
    })

    suite('B2 a primary that is stopped is unresponsive, and nobody stands; then work goes on', async (b) => {
      const limits = { unresponsiveMs: 2000 }
      const all = await b.members(2, () => ({ limits, offers: [offer('echo', ({ params }) => params)] }))
      const heard = b.statuses(all[1]!)
      const go = b.world.pause(all[0]!)
      const patient = b.call(all[1]!, 'echo', 'patient')
      await until(() => heard.length > 0, 'its silence to be noticed')
      await assert.rejects(
        b.call(all[1]!, 'echo', 1, TO_PRIMARY, { timeoutMs: 50 }),
        code('PRIMARY_UNRESPONSIVE', { outcome: 'unknown' }),
      )
      assert.equal(all[1]!.role, 'secondary')
      assert.deepEqual(
        heard.map((status) => ('cause' in status ? status.cause : status.type)),
        ['unresponsive'],
      )
      go()
      assert.equal(await patient, 'patient')
      await until(() => heard.length === 2, 'it to be found')
      assert.equal(heard[1]?.type, 'primary-found')
    })

    suite('a newer version takes the seat; SUPERSEDED is who is too old for it', async (b) => {
      const old = await b.join({ name: 'old', version: 1 })
      const helper = await b.join({ name: 'helper', version: 1, primary: 'never' })
      const reasons = helper.closed
      const newer = await b.join({ name: 'new', version: 2, minVersion: 2 })
      await until(() => newer.role === 'primary', 'the newer one to serve')
      const ends = await Promise.all([reasons, old.closed])
      for (const end of ends) assert.ok(end.type === 'superseded' && code('SUPERSEDED')(end.error))
      await assert.rejects(b.join({ version: 1 }), code('SUPERSEDED'))
      const additive = await b.join({ version: 3, minVersion: 2 })
      await until(() => additive.role === 'primary' && newer.primary !== undefined, 'the newest one to serve')
      assert.equal(newer.role, 'secondary')
    })

    suite('close and abort while it seeks a primary', async (b) => {
      for (const [end, ended] of [
        [(one: Engine) => one.close({ timeoutMs: LIMIT_MS }), 'CLOSED'],
        [(one: Engine) => one.abort('no'), 'ABORTED'],
      ] as const) {
        const first = await b.join()
        const helper = await b.join({ primary: 'never' })
        await first.close({ timeoutMs: LIMIT_MS })
        await until(() => helper.primary === undefined, 'the loss')
        const rejected = assert.rejects(b.call(helper, 'x'), code(ended))
        await end(helper)
        await rejected
        await helper.closed
        const next = await b.join()
        assert.equal(next.role, 'primary')
        await next.close({ timeoutMs: LIMIT_MS })
      }
    })
  })

  describe(`engine: ${name}: limits`, () => {
    suite('concurrency holds at the switchboard, through withdrawal and a new offer', async (b) => {
      const gate = new Gate()
      const narrow = offer('narrow', gate.handler, { to: 'any', concurrency: 2 })
      for (const index of [0, 1]) {
        gate.runs.length = 0
        const all = await b.members(3, (i) => ({ offers: i === index ? [narrow] : [] }))
        const callee = all[index]!
        const calls = Array.from({ length: 9 }, (_, i) => b.call(all[2]!, 'narrow', i, TO_ANY))
        await gate.reached(2)
        await all[2]!.inspect(Infinity)
        assert.equal((await all[2]!.inspect(Infinity)).queues.calls.count, 7)
        assert.equal(gate.runs.length, 2)
        callee.withdraw('narrow')
        callee.offer(narrow)
        await until(async () => (await callee.inspect(Infinity)).members[index]!.methods.length === 1, 'the offer')
        const rest = calls.map((call) => call.catch((error: ConclaveError) => error.code))
        const ending = Promise.all(rest)
        let settled = false
        void ending.then(() => (settled = true))
        await until(() => {
          const running = callee.counters()['running']!
          assert.ok(running <= 2, `${running} run at once`)
          gate.open()
          return settled
        }, 'all calls to end')
        const ends = await ending
        // Those that waited for "any" while nobody offered it learned so.
        assert.ok(ends.every((end) => Array.isArray(end) || end === 'METHOD_NOT_FOUND'))
        assert.ok(ends.filter((end) => Array.isArray(end)).length >= 2)
        const again = Array.from({ length: 6 }, (_, i) => b.call(all[2]!, 'narrow', i, TO_ANY))
        const ended = Promise.all(again)
        let over = false
        void ended.then(() => (over = true))
        await until(() => {
          assert.ok(callee.counters()['running']! <= 2)
          gate.open()
          return over
        }, 'six more: no place was lost')
        for (const one of all.toReversed()) await one.close({ timeoutMs: LIMIT_MS })
      }
    })

    suite('a call that is given up while its body travels frees its place', async (b) => {
      const echo = offer('echo', ({ params }) => (params as string).length, { to: 'any', concurrency: 1 })
      const all = await b.members(3, (i) => ({ offers: i === 1 ? [echo] : [] }))
      await until(async () => (await all[2]!.peers({ method: 'echo' }, Infinity)).peers.length === 1, 'the offer')
      const go = b.world.pause(all[1]!)
      const stop = new AbortController()
      const call = b.call(all[2]!, 'echo', 'x'.repeat(4_000_000), TO_ANY, { signal: stop.signal })
      await until(async () => (await all[0]!.inspect(Infinity)).links[1]!.servingCalls === 1, 'its first part')
      stop.abort()
      await assert.rejects(call, code('ABORTED'))
      go()
      assert.equal(await b.call(all[2]!, 'echo', 'x', TO_ANY), 1)
      await until(
        async () => (await all[0]!.inspect(Infinity)).links.every((l) => l.pendingCalls + l.servingCalls === 0),
        'none',
      )
    })

    suite('least busy first', async (b) => {
      const gates = [new Gate(), new Gate(), new Gate()]
      const all = await b.members(4, (i) => ({
        offers: i === 0 ? [] : [offer('work', gates[i - 1]!.handler, { to: 'any' })],
      }))
      await until(async () => (await all[0]!.peers({ method: 'work' }, Infinity)).peers.length === 3, 'the offers')
      const calls: Promise<unknown>[] = []
      for (let i = 1; i <= 9; i++) {
        calls.push(b.call(all[0]!, 'work', i, TO_ANY))
        await until(() => gates.reduce((n, { runs }) => n + runs.length, 0) === i, 'it to run')
      }
      assert.deepEqual(
        gates.map(({ runs }) => runs.length),
        [3, 3, 3],
      )
      for (const gate of gates) gate.open()
      await Promise.all(calls)
    })

    suite(
      `C5 ${MAX_CALLS_IN_FLIGHT} calls are on their way at once, the rest waits; those that end by themselves make room`,
      async (b) => {
        const gate = new Gate()
        const all = await b.members(2, () => ({
          offers: [offer('hang', gate.handler), offer('echo', ({ params }) => params)],
        }))
        for (const from of all) {
          gate.runs.length = 0
          const stop = new AbortController()
          const hanging = Array.from({ length: MAX_CALLS_IN_FLIGHT }, () =>
            b.call(from, 'hang', 1, TO_PRIMARY, { signal: stop.signal }),
          )
          const rejected = Promise.allSettled(hanging)
          await gate.reached(MAX_CALLS_IN_FLIGHT)
          let ended = false
          const late = b.call(from, 'echo', 'late').finally(() => (ended = true))
          await new Promise((resolve) => setTimeout(resolve, 10))
          assert.equal(ended, false)
          gate.open()
          await rejected
          assert.equal(await late, 'late')
          stop.abort()
          const others = new AbortController()
          const given = Array.from({ length: MAX_CALLS_IN_FLIGHT }, () =>
            b.call(from, 'none at all', 1, toName('m1'), { signal: others.signal }),
          )
          for (const end of await Promise.allSettled(given)) assert.equal(end.status, 'rejected')
          assert.equal(await b.call(from, 'echo', 1), 1)
        }
      },
    )

    suite('a member that stops reading: new calls to it are OVERLOADED, everybody else is served', async (b) => {
      const echo = offer('echo', ({ params }) => (params as string).length)
      const limits = { maxLinkBytes: 100_000 }
      const all = await b.members(3, () => ({ limits, offers: [echo] }))
      const go = b.world.pause(all[1]!)
      const calls: Promise<unknown>[] = []
      let refused: unknown
      for (let i = 0; refused === undefined; i++) {
        const call = b.call(all[2]!, 'echo', 'x'.repeat(10_000), toId(all[1]!.self.id))
        calls.push(call.catch((error: unknown) => (refused = error)))
        if (i % 10 === 0) assert.equal(await b.call(all[2]!, 'echo', 'xyz'), 3)
        assert.ok(i < 1000)
      }
      assert.ok(code('OVERLOADED', { outcome: 'not-committed' })(refused))
      go()
      await Promise.all(calls)
      assert.equal(await b.call(all[2]!, 'echo', 'xyz', toId(all[1]!.self.id)), 3)
    })

    suite(
      'F3 a primary that calls, notifies, asks and publishes without a pause serves others all the same',
      async (b) => {
        const all = await b.members(2, () => ({ offers: [offer('echo', ({ params }) => params)] }))
        const [first, second] = all as [Engine, Engine]
        const busy: Record<string, () => Promise<unknown>> = {
          call: () => b.call(first, 'echo', 1),
          fail: () => b.call(first, 'none', 1, toName('nobody')).catch(() => {}),
          notify: () => b.notify(first, 'echo', 1),
          peers: () => first.peers({ method: 'echo' }, Infinity),
          publish: () => b.publish(first, 'x', 1),
        }
        for (const [what, once] of Object.entries(busy)) {
          let stop = false
          const loop = (async () => {
            while (!stop) await once()
          })()
          for (let i = 0; i < 5; i++) assert.equal(await b.call(second, 'echo', i), i, what)
          stop = true
          await loop
        }
      },
    )
  })
}
