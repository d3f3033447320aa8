import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ConclaveError, defineContract, type Context, type Member } from 'conclave'
import { z } from 'zod'
import { MemberView } from '../../src/member/member.ts'
import { until } from '../support/index.ts'
import { all, code, gate, joined, memory, onBoth, several } from './support.ts'

/** Every member of the face, so that the compiler asks for each one that is added. */
const FACE: { readonly [K in keyof Member]-?: 'get' | 'method' } = {
  id: 'get',
  name: 'get',
  workspace: 'get',
  role: 'get',
  term: 'get',
  primary: 'get',
  closed: 'get',
  db: 'get',
  call: 'method',
  stream: 'method',
  gather: 'method',
  notify: 'method',
  offer: 'method',
  publish: 'method',
  subscribe: 'method',
  on: 'method',
  with: 'method',
  status: 'method',
  inspect: 'method',
  close: 'method',
  abort: 'method',
  ref: 'method',
  unref: 'method',
  [Symbol.asyncDispose]: 'method',
}

test('the typed face and the untyped view have the same members', () => {
  const own = Object.getOwnPropertyDescriptors(MemberView.prototype) as Record<PropertyKey, PropertyDescriptor>
  const keys = Reflect.ownKeys(own).filter((key) => key !== 'constructor')
  assert.deepEqual(new Set(keys), new Set(Reflect.ownKeys(FACE)))
  for (const key of keys) {
    const kind = (FACE as Record<PropertyKey, string>)[key]
    assert.equal(typeof own[key]![kind === 'get' ? 'get' : 'value'], 'function', String(key))
  }
})

onBoth('any value goes there and back, to any target', async (t, place) => {
  const members = await several(t, place, 3, (i) => ({ methods: { echo: (x: unknown) => x, who: () => i } }))
  members[2]!.offer({ only: () => 'two' }, { to: 'any' })
  await members[2]!.inspect()
  for (const from of members) {
    for (const value of [undefined, null, 0, '', 'ä€😀', [1, { a: [] }], new Uint8Array([1, 2, 255])]) {
      assert.deepEqual(await from.call('echo', value), value)
    }
    assert.equal(await from.call('only'), 'two', 'as its offer says')
    await assert.rejects(
      from.call('only', 1, { to: 'primary' }),
      code('METHOD_NOT_FOUND', { outcome: 'not-committed' }),
    )
    for (const [i, { id, name }] of members.entries()) {
      assert.equal(await from.call('who', 1, { to: { id } }), i)
      assert.equal(await from.call('who', 1, { to: { name } }), i)
    }
    assert.notEqual(await from.call('who', 1, { to: 'any' }), 0, 'others before the primary')
  }
})

describe('call', () => {
  test('refuses what it can’t mean, at once', async (t) => {
    const member: Member = (await joined(t, memory(t), { methods: { x: () => 1 } })).with()
    const refused = (call: Promise<unknown>, expected = 'INVALID_OPTION'): Promise<void> =>
      assert.rejects(call, code(expected))
    await refused(member.call(''))
    await refused(member.call('a\0b'))
    await refused((member.call as (method: unknown) => Promise<unknown>).call(member, 5))
    await refused(member.call('x', undefined, { to: 'nobody' as never }))
    await refused(member.call('x', undefined, { to: {} as never }))
    await refused(member.call('x', undefined, { to: { id: '' } }))
    for (const timeoutMs of [-1, NaN, '5' as never]) await refused(member.call('x', undefined, { timeoutMs }))
    const cycle: { self?: unknown } = {}
    cycle.self = cycle
    for (const params of [1n, cycle, () => 1, Symbol('x')]) await refused(member.call('x', params), 'INVALID_PARAMS')
    assert.equal(await member.call('x', undefined, { timeoutMs: Infinity }), 1)
  })

  test('takes patience and routing from the contract, and the call’s own before', async (t) => {
    const place = memory(t)
    const contract = defineContract({
      methods: {
        hang: { to: 'any', timeoutMs: 20_000, result: z.string() },
        here: { to: 'primary', result: z.string() },
      },
    })
    const left: number[] = []
    const hang = (_: undefined, { remainingMs }: Context<typeof contract>): Promise<never> => {
      left.push(remainingMs)
      return new Promise(() => {})
    }
    const who = (_: undefined, ctx: Context<typeof contract>): string => ctx.member.name
    await joined(t, place, { name: 'a', contract, methods: { here: who } })
    const second = await joined(t, place, { name: 'b', contract, methods: { hang, here: who } })
    for (const [own, mostMs] of [
      [{}, 20_000],
      [{ timeoutMs: 10_000 }, 10_000],
    ] as const) {
      const stop = new AbortController()
      const call = assert.rejects(second.call('hang', undefined, { ...own, signal: stop.signal }), code('ABORTED'))
      await until(() => left.length === 1, 'it to run')
      assert.ok(left.pop()! <= mostMs, 'the default would be longer')
      stop.abort()
      await call
    }
    assert.equal(await second.call('here'), 'a')
    assert.equal(await second.call('here', undefined, { to: 'any' }), 'b')
    await assert.rejects(second.call('hang', undefined, { to: 'primary' }), code('METHOD_NOT_FOUND'))
  })

  test('C4: an abort rejects at once with the reason, and reaches the handler afar', async (t) => {
    const seen: AbortSignal[] = []
    const [first, second] = await several(t, memory(t), 2, () => ({
      methods: { hang: (_: unknown, { signal }: Context) => (seen.push(signal), new Promise(() => {})) },
    }))
    for (const [from, to] of [
      [first!, first!],
      [first!, second!],
      [second!, first!],
      [second!, second!],
    ] as const) {
      seen.length = 0
      const stop = new AbortController()
      const call = from.call('hang', 1, { to: { id: to.id }, signal: stop.signal })
      await until(() => seen.length === 1, 'it to run')
      stop.abort('enough')
      await assert.rejects(call, code('ABORTED', { cause: 'enough', outcome: 'unknown', name: 'AbortError' }))
      await until(() => seen[0]!.aborted, 'it to be told')
      await assert.rejects(from.call('hang', 1, { signal: stop.signal }), code('ABORTED', { outcome: 'not-committed' }))
    }
  })

  test('B15: over the death of the primary: repeatable ones are repeated, the others are unknown', async (t) => {
    const place = memory(t)
    const running: string[] = []
    const hang =
      (name: string) =>
      (_: unknown, { attempt }: Context) => (running.push(name), attempt === 1 ? new Promise(() => {}) : name)
    const [first, second] = await several(t, place, 2, (i) => ({
      methods: { once: hang(`m${i}`), again: hang(`m${i}`) },
    }))
    const once = assert.rejects(second!.call('once'), code('DISCONNECTED', { outcome: 'unknown', retryable: true }))
    const again = second!.call('again', undefined, { idempotent: true })
    await until(() => running.length === 2, 'both to run')
    place.kill(first!)
    await once
    assert.equal(await again, 'm1')
  })

  test('waits for a primary as long as it may', async (t) => {
    const place = memory(t)
    const first = await joined(t, place)
    const second = await joined(t, place, { primary: 'never' })
    place.kill(first)
    await assert.rejects(second.call('x', 1, { timeoutMs: 30 }), code('TIMEOUT', { outcome: 'not-committed' }))
    const waiting = second.call('x')
    await joined(t, place, { methods: { x: () => 'later' } })
    assert.equal(await waiting, 'later')
  })

  test('no handler runs before the joining program has its member', async (t) => {
    const place = memory(t)
    const first = await joined(t, place)
    const has = { member: false }
    const ran: boolean[] = []
    const seen = (): void => void ran.push(has.member)
    const calls = first.subscribe('$member.joined')
    await calls.ready
    const called = (async () => {
      for await (const { data } of calls) {
        const { id } = data as { id: string }
        if (id !== first.id) return first.call('seen', undefined, { to: { id } })
      }
      return undefined
    })()
    await joined(t, place, { methods: { seen } })
    has.member = true
    await called
    assert.deepEqual(ran, [true])
  })
})

onBoth('a stream comes item by item, with its result at the end', async (t, place) => {
  const methods = {
    async *count(to: number) {
      for (let i = 0; i < to; i++) yield i
      return 'done'
    },
    plain: () => 'no items',
  }
  const [first, second] = await several(t, place, 2, () => ({ methods }))
  for (const from of [first!, second!]) {
    const stream = from.stream('count', 1000)
    assert.deepEqual(
      await all(stream),
      Array.from({ length: 1000 }, (_, i) => i),
    )
    assert.equal(await stream.result, 'done')
    assert.deepEqual(await stream.next(), { done: true, value: 'done' })
    assert.equal(await from.call('count', 3), 'done', 'call() gets the result alone')
    const none = from.stream('plain')
    assert.deepEqual(await all(none), [])
    assert.equal(await none.result, 'no items')
    await assert.rejects(from.stream('nothing').next(), code('METHOD_NOT_FOUND'))
  }
})

describe('stream', () => {
  const endless = (ended: string[]) => ({
    async *endless(_: unknown, { signal }: Context) {
      try {
        for (let i = 0; ; i++) {
          yield i
          if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve))
        }
      } finally {
        ended.push(signal.aborted ? 'aborted' : 'ended')
      }
    },
  })

  test('leaving the loop, return(), throw(), dispose and abort all tell the handler', async (t) => {
    const ended: string[] = []
    const [, second] = await several(t, memory(t), 2, () => ({ methods: endless(ended) }))
    let count = 0
    const told = (): Promise<unknown> => {
      count++
      return until(() => ended.length === count, `the handler of stream ${count} to be told`)
    }
    for await (const item of second!.stream('endless')) if (item === 5) break
    await told()
    const returned = second!.stream('endless')
    await returned.next()
    assert.deepEqual(await returned.return?.('mine'), { done: true, value: 'mine' })
    assert.deepEqual(await returned.next(), { done: true, value: undefined })
    await assert.rejects(returned.result, code('ABORTED'))
    await told()
    const thrown = second!.stream('endless')
    await thrown.next()
    await assert.rejects(thrown.throw!(new Error('mine')), /mine/)
    await told()
    {
      await using disposed = second!.stream('endless')
      await disposed.next()
    }
    await told()
    const stop = new AbortController()
    const aborted = second!.stream('endless', undefined, { signal: stop.signal })
    await aborted.next()
    stop.abort('enough')
    await assert.rejects(all(aborted), code('ABORTED', { cause: 'enough' }))
    await told()
    assert.deepEqual(new Set(ended), new Set(['aborted']))
  })

  test('patience is for the next item, and none is due while nobody reads', async (t) => {
    const place = memory(t)
    const { opened, open } = gate()
    const [, second] = await several(t, place, 2, () => ({
      methods: {
        async *items() {
          yield 1
          await opened
          yield 2
          await new Promise(() => {})
        },
      },
    }))
    const stream = second!.stream('items', undefined, { timeoutMs: 1500 })
    assert.deepEqual(await stream.next(), { done: false, value: 1 })
    open()
    assert.deepEqual(await stream.next(), { done: false, value: 2 })
    await assert.rejects(stream.next(), code('TIMEOUT'))
    assert.deepEqual(await stream.next(), { done: true, value: undefined })
  })

  test('of an idempotent method begins again at the next primary, which knows the attempt', async (t) => {
    const place = memory(t)
    const [first, second] = await several(t, place, 2, (i) => ({
      methods: {
        async *items(_: unknown, { attempt }: Context) {
          yield [i, attempt]
          if (attempt === 1) await new Promise(() => {})
          return 'end'
        },
      },
    }))
    const stream = second!.stream('items', undefined, { idempotent: true })
    assert.deepEqual((await stream.next()).value, [0, 1])
    place.kill(first!)
    assert.deepEqual((await stream.next()).value, [1, 2])
    assert.equal(await stream.result, 'end')
  })

  test('an unread failure is no unhandled rejection', async (t) => {
    const member = await joined(t, memory(t))
    member.stream('nothing')
    void member.publish('a..b', 1)
    void member.subscribe('x').return?.()
    await new Promise((resolve) => setTimeout(resolve, 10))
  })
})

describe('offer', () => {
  test('is in force with the call, and withdrawn by dispose and by signal', async (t) => {
    const [first, second] = await several(t, memory(t), 2)
    const to = { id: second!.id }
    for (const end of ['dispose', 'signal']) {
      const stop = new AbortController()
      const offer = second!.offer({ late: () => end, undone: undefined as never }, { signal: stop.signal })
      assert.equal(await second!.call('late', 1, { to }), end)
      assert.equal(await first!.call('late', 1, { to }), end)
      assert.throws(() => second!.offer({ other: () => 1, late: () => 2 }), code('CONFLICT'))
      await assert.rejects(second!.call('other', 1, { to }), code('METHOD_NOT_FOUND'), 'all or nothing')
      if (end === 'signal') stop.abort()
      else offer[Symbol.dispose]()
      await assert.rejects(second!.call('late', 1, { to }), code('METHOD_NOT_FOUND'))
      using again = second!.offer({ late: () => 'again' })
      offer[Symbol.dispose]()
      assert.equal(await second!.call('late', 1, { to }), 'again', 'a second dispose takes nothing of others')
      void again
    }
    second!.offer({ never: () => 1 }, { signal: AbortSignal.abort() })
    await assert.rejects(second!.call('never', 1, { to }), code('METHOD_NOT_FOUND'))
  })

  test('a call that runs is finished after its offer is withdrawn', async (t) => {
    const [first, second] = await several(t, memory(t), 2)
    const { opened, open } = gate()
    let runs = 0
    const offer = second!.offer({ slow: () => (runs++, opened.then(() => 'late')) })
    const call = first!.call('slow', 1, { to: { id: second!.id } })
    await until(() => runs === 1, 'it to run')
    offer[Symbol.dispose]()
    open()
    assert.equal(await call, 'late')
  })

  test('concurrency: so many run at once, the rest waits at the switchboard', async (t) => {
    const [first, second] = await several(t, memory(t), 2)
    let now = 0
    let most = 0
    const work = async (): Promise<void> => {
      most = Math.max(most, ++now)
      await new Promise((resolve) => setTimeout(resolve, 2))
      now--
    }
    second!.offer({ work }, { concurrency: 2, to: 'any' })
    await second!.inspect()
    await Promise.all(Array.from({ length: 20 }, () => first!.call('work')))
    assert.equal(most, 2)
    for (const concurrency of [0, -1, 1.5, NaN, 2 ** 32, '2' as never]) {
      assert.throws(
        () => second!.offer({ x: work }, { concurrency }),
        code('INVALID_OPTION', { message: /at least 1/ }),
      )
    }
    assert.throws(() => second!.offer({ x: work }, { to: 'all' as never }), code('INVALID_OPTION'))
  })
})

describe('with', () => {
  const contract = defineContract({
    methods: { double: { params: z.number(), result: z.number() } },
    events: { 'n.*': { data: z.number().default(7) } },
  })

  test('is the same member with other checks; without a value nothing is checked', async (t) => {
    const place = memory(t)
    const plain = await joined(t, place, { methods: { double: (x: number) => x * 2 } })
    const typed = plain.with(contract)
    const untyped = typed.with<typeof contract>()
    assert.deepEqual(
      [typed.id, typed.role, typed.term, typed.workspace],
      [plain.id, plain.role, plain.term, plain.workspace],
    )
    await assert.rejects(typed.publish('n.a', 'x' as never), code('INVALID_PARAMS'))
    const events = typed.subscribe('n.*')
    await typed.publish('n.a', undefined as never)
    await untyped.publish('n.a', 'x' as never)
    assert.equal((await events.next()).value?.data, 7, 'the default is filled in where it is published')
    assert.equal((await events.next()).value?.data, 'x')
    assert.throws(() => typed.offer({ other: () => 1 } as never), code('INVALID_OPTION'))
    await typed.close()
    assert.deepEqual(await plain.closed, { type: 'closed' })
  })
})

describe('publish', () => {
  const slow = {
    '~standard': {
      version: 1 as const,
      vendor: 'x',
      validate: async (value: unknown) => ({ issues: [{ message: `no ${String(value)}` }] }),
    },
  }
  const contract = defineContract({
    events: { 'a.b': { data: z.object({ n: z.number() }) }, 'a.*': { data: z.string() }, late: { data: slow } },
  })

  test('checks data by the topic’s name, then by the first pattern that matches', async (t) => {
    const member = await joined(t, memory(t), { contract })
    const loose = member.with(contract) as unknown as Member
    assert.ok((await member.publish('a.b', { n: 1 })) > 0)
    assert.ok((await member.publish('a.c', 'x')) > 0)
    await assert.rejects(loose.publish('a.b', 'x'), code('INVALID_PARAMS', { message: /^The data of "a.b"/ }))
    await assert.rejects(loose.publish('a.c', 1), code('INVALID_PARAMS'))
    assert.ok((await loose.publish('elsewhere', 1)) > 0, 'topics that the contract does not know stay open')
  })

  test('refuses an asynchronous schema, promises, wrong topics and what JSON can’t hold; each is counted', async (t) => {
    const member = (await joined(t, memory(t), { contract })) as unknown as Member
    await assert.rejects(member.publish('late', 1), code('INVALID_OPTION', { message: /asynchronous/ }))
    await assert.rejects(
      member.publish('x', Promise.reject(new Error('forgotten await'))),
      code('INVALID_OPTION', { message: /await it/ }),
    )
    await assert.rejects(member.publish('x', 1n), code('INVALID_PARAMS'))
    for (const topic of ['', 'a..b', 'b.*', '$sys', 'x'.repeat(256)]) {
      await assert.rejects(member.publish(topic, 1), code('INVALID_OPTION'))
    }
    const { counters } = await member.inspect()
    assert.equal(counters['own.rejected'], 8)
  })
})

describe('inspect', () => {
  test('names workspace, members, roles, methods, links, queues and counters', async (t) => {
    const [first, second] = await several(t, memory(t), 2, (i) => ({
      methods: i === 1 ? { b: () => 1, a: () => 2 } : {},
    }))
    for (const from of [first!, second!]) {
      const { workspace, term, primary, members, links, queues, drops, counters } = await from.inspect()
      assert.equal(workspace, '/workspace')
      assert.equal(term, 1)
      assert.equal(primary.id, first!.id)
      assert.deepEqual(
        members.map(({ id, name, role, methods }) => [id, name, role, methods]),
        [
          [first!.id, 'm0', 'primary', []],
          [second!.id, 'm1', 'secondary', ['a', 'b']],
        ],
      )
      for (const { joined: at } of members) assert.equal(new Date(at).toISOString(), at)
      assert.deepEqual(
        links.map(({ member, form }) => [member, form]),
        [
          [first!.id, 'frames'],
          [second!.id, 'frames'],
        ],
      )
      assert.deepEqual(queues, { events: { count: 0, bytes: 0 }, calls: { count: 0, bytes: 0 } })
      assert.equal(drops, 0)
      assert.equal(counters['links.joined'], 1)
      assert.equal(typeof counters['own.calls'], 'number')
    }
  })

  test('INSPECT_TIMEOUT_MS: without a primary it is TIMEOUT after it', async (t) => {
    const place = memory(t)
    const first = await joined(t, place)
    const second = await joined(t, place, { primary: 'never' })
    place.kill(first)
    await assert.rejects(second.inspect(), code('TIMEOUT', { name: 'TimeoutError' }))
  })
})

onBoth('close drains, is idempotent, and says why', async (t, place) => {
  for (const index of [1, 0]) {
    const { opened, open } = gate()
    const members = await several(t, place, 2, () => ({ methods: { slow: () => opened.then(() => 'late') } }))
    const closing = members[index]!
    const other = members[1 - index]!
    const events = other.subscribe('last.*')
    await events.ready
    const calls = [other.call('slow', 1, { to: { id: closing.id } }), closing.call('slow', 1, { to: { id: other.id } })]
    await until(async () => (await other.inspect()).counters['calls.relayed']! >= 2, 'both calls to go')
    const published = closing.publish('last.words', 'bye')
    const ended = Promise.all([closing.close(), closing.close({ timeoutMs: 0 }), closing[Symbol.asyncDispose]()])
    open()
    await ended
    assert.deepEqual(await Promise.all(calls), ['late', 'late'])
    assert.ok((await published) > 0)
    assert.equal((await events.next()).value?.data, 'bye')
    assert.deepEqual(await closing.closed, { type: 'closed' })
    closing.abort('later')
    assert.deepEqual(await closing.closed, { type: 'closed' })
    await assert.rejects(closing.call('slow'), code('CLOSED', { outcome: 'not-committed' }))
    await assert.rejects(closing.publish('x', 1), code('CLOSED'))
    await assert.rejects(closing.inspect(), code('CLOSED'))
    await assert.rejects(all(closing.gather('slow')), code('CLOSED'))
    await assert.rejects(closing.stream('slow').next(), code('CLOSED'))
    assert.throws(() => closing.subscribe('x'), code('CLOSED'))
    assert.throws(() => closing.offer({ x: () => 1 }), code('CLOSED'))
    assert.equal(closing.ref(), closing)
    assert.equal(closing.unref(), closing)
    await other.close()
  }
})

describe('bytes', () => {
  test('of events are taken as they are: what becomes of the array later changes nothing that waits', async (t) => {
    const place = memory(t)
    const [first, second] = await several(t, place, 2, () => ({}))
    const array = new Uint8Array([9, 9, 9])
    const events = second!.subscribe('bytes')
    await events.ready
    const statuses = second!.status()
    place.kill(first!)
    for await (const { type } of statuses) if (type === 'primary-lost') break
    assert.equal(second!.primary, undefined)
    const waiting = second!.publish('bytes', array)
    array.fill(0)
    await waiting
    assert.deepEqual((await events.next()).value?.data, new Uint8Array([9, 9, 9]))
  })
})

describe('close', () => {
  test('time that is no number is refused: it would never be over', async (t) => {
    const [member] = await several(t, memory(t), 1)
    for (const timeoutMs of [NaN, -1, '5', null]) {
      await assert.rejects(member!.close({ timeoutMs: timeoutMs as never }), code('INVALID_OPTION'))
    }
    assert.equal(member!.role, 'primary')
  })

  test('gives up what is left when its time is over', async (t) => {
    const [first, second] = await several(t, memory(t), 2, () => ({ methods: { hang: () => new Promise(() => {}) } }))
    const call = assert.rejects(first!.call('hang', 1, { to: { id: second!.id } }), code('CALLEE_LOST'))
    await until(async () => (await first!.inspect()).counters['calls.relayed'] === 1, 'the call to go')
    await second!.close({ timeoutMs: 20 })
    await call
  })

  test('a signal cuts the drain short', async (t) => {
    const [, second] = await several(t, memory(t), 2, () => ({ methods: { hang: () => new Promise(() => {}) } }))
    const call = assert.rejects(second!.call('hang', 1), (error) => ConclaveError.is(error, 'CLOSED'))
    await until(async () => (await second!.inspect()).counters['calls.relayed'] === 1, 'the call to go')
    const stop = new AbortController()
    const closed = second!.close({ timeoutMs: 60_000, signal: stop.signal })
    stop.abort()
    await closed
    await call
  })
})

onBoth('abort ends everything now, with its reason', async (t, place) => {
  const [first, second] = await several(t, place, 2, () => ({ methods: { hang: () => new Promise(() => {}) } }))
  for (const one of [second!, first!]) {
    const events = one.subscribe('x')
    one.on('y', () => {})
    const ends = Promise.allSettled([one.call('hang'), one.stream('hang').next(), events.next()])
    one.abort('enough')
    for (const end of await ends) {
      assert.ok(end.status === 'rejected')
      assert.ok(code('ABORTED')(end.reason))
    }
    assert.deepEqual(await one.closed, { type: 'aborted', cause: 'enough' })
    await one.close()
  }
})
