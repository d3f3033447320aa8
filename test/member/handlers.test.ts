import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { describe, test } from 'node:test'
import { ConclaveError, defineContract, type Context, type Member, type Schema } from 'conclave'
import { z } from 'zod'
import { until } from '../support/index.ts'
import { all, code, joined, memory, onBoth } from './support.ts'

/** A schema that answers with a promise, a turn later. */
function slow<In, Out>(check: (value: In) => Out): Schema<In, Out> {
  return {
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: async (value) => {
        await new Promise((resolve) => setImmediate(resolve))
        try {
          return { value: check(value as In) }
        } catch (error) {
          return { issues: [{ message: (error as Error).message, path: ['deep', { key: 0 }] }] }
        }
      },
    },
  }
}

const even = slow((n: number): number => {
  if (n % 2 !== 0) throw new Error('not even.')
  return n / 2
})

const contract = defineContract({
  methods: {
    add: {
      params: z.object({ text: z.string(), tags: z.array(z.string()).default(['none']) }),
      result: z.object({ id: z.number(), text: z.string() }),
    },
    length: { params: z.string().transform((text) => text.length), result: z.number() },
    half: { params: even, result: even },
    quiet: { params: z.number().optional() },
    count: {
      params: z.number(),
      yields: z.object({ n: z.number().max(3), unit: z.string().default('s') }),
      result: z.string(),
    },
    silent: { yields: z.number() },
  },
})

const methods = {
  add: ({ text, tags }: { text: string; tags: string[] }) => ({
    id: tags.length,
    text: `${text}:${tags.join()}`,
    extra: 1,
  }),
  length: (length: number) => length,
  half: (n: number) => Promise.resolve(n * 2),
  quiet: (n: number | undefined) => setTimeout(() => {}, n ?? 0) as never,
  async *count(n: number) {
    for (let i = 0; i <= n; i++) yield { n: i }
    return 'done'
  },
  async *silent() {
    yield 1
    return { circular: globalThis } as never
  },
}

async function pair(t: Parameters<typeof joined>[0], place: Parameters<typeof joined>[1]) {
  const callee = await joined(t, place, { contract, methods })
  return [callee, await joined(t, place, { contract })] as const
}

onBoth('values are checked where they arrive, and defaults filled in', async (t, place) => {
  for (const from of await pair(t, place)) {
    assert.deepEqual(await from.call('add', { text: 'x' }), { id: 1, text: 'x:none' })
    assert.deepEqual(await from.call('add', { text: 'x', tags: ['a', 'b'] }), { id: 2, text: 'x:a,b' })
    assert.equal(await from.call('length', 'four'), 4)
    assert.equal(await from.call('half', 8), 4, 'halved on the way in, doubled, halved on the way out')
    const stream = from.stream('count', 2)
    assert.deepEqual(
      await all(stream),
      [0, 1, 2].map((n) => ({ n, unit: 's' })),
    )
    assert.equal(await stream.result, 'done')
  }
})

onBoth('what does not fit is refused with its issues', async (t, place) => {
  for (const from of await pair(t, place)) {
    const wrong = from.with()
    const params = (issues: unknown) =>
      code('INVALID_PARAMS', { message: /^The params of "add" do not fit/, data: { issues } })
    await assert.rejects(
      wrong.call('add', { text: 1, tags: ['a', 2] }),
      params([
        { message: 'Invalid input: expected string, received number', path: ['text'] },
        { message: 'Invalid input: expected string, received number', path: ['tags', 1] },
      ]),
    )
    await assert.rejects(wrong.call('add'), code('INVALID_PARAMS'))
    await assert.rejects(
      wrong.call('half', 3),
      code('INVALID_PARAMS', { data: { issues: [{ message: 'not even.', path: ['deep', 0] }] } }),
    )
  }
})

describe('results', () => {
  test('that do not fit are INVALID_RESULT, from async handlers and schemas too', async (t) => {
    const place = memory(t)
    const bad = {
      add: () => ({ id: 'x' }) as never,
      half: () => Promise.resolve(3),
      length: () => Promise.resolve('x') as never,
    }
    const first = await joined(t, place, { contract, methods: bad })
    for (const from of [first, await joined(t, place, { contract })]) {
      await assert.rejects(from.call('add', { text: '' }), code('INVALID_RESULT', { message: /^The result of "add"/ }))
      await assert.rejects(from.call('half', 2), code('INVALID_RESULT'))
      await assert.rejects(from.call('length', ''), code('INVALID_RESULT'))
    }
  })

  test('an item that does not fit ends the stream and the generator', async (t) => {
    const place = memory(t)
    let ended = 0
    const callee = await joined(t, place, {
      contract,
      methods: {
        async *count(n) {
          try {
            for (let i = 0; ; i++) yield { n: i + n }
          } finally {
            ended++
          }
        },
      },
    })
    for (const from of [callee, await joined(t, place, { contract })]) {
      const stream = from.stream('count', 2)
      assert.deepEqual(await stream.next(), { done: false, value: { n: 2, unit: 's' } })
      assert.deepEqual(await stream.next(), { done: false, value: { n: 3, unit: 's' } })
      await assert.rejects(stream.next(), code('INVALID_RESULT', { message: /An item of "count"/ }))
      await assert.rejects(stream.result, code('INVALID_RESULT'))
    }
    assert.equal(ended, 2)
  })

  test('of a method without one are dropped, whatever the handler returned', async (t) => {
    for (const from of await pair(t, memory(t))) {
      assert.equal(await from.call('quiet', 0), undefined)
      const stream = from.stream('silent')
      assert.deepEqual(await all(stream), [1])
      assert.equal(await stream.result, undefined)
    }
  })

  test('a promise of a generator streams as the generator does', async (t) => {
    const place = memory(t)
    const later = async (n: number) => methods.count(n)
    const callee = await joined(t, place, { contract, methods: { count: later as never } })
    assert.deepEqual(await all(callee.stream('count', 1)), [
      { n: 0, unit: 's' },
      { n: 1, unit: 's' },
    ])
  })

  test('a schema that throws is FAILED, and the member lives on', async (t) => {
    const place = memory(t)
    const broken: Schema<number> = {
      '~standard': {
        version: 1,
        vendor: 'x',
        validate: () => {
          throw new TypeError('broken schema')
        },
      },
    }
    const callee = await joined(t, place, {
      contract: defineContract({ methods: { a: { params: broken }, b: { result: broken } } }),
      methods: { a: () => {}, b: () => 1 },
    })
    for (const method of ['a', 'b'] as const) {
      await assert.rejects(
        callee.with().call(method, 1),
        code('FAILED', { reason: 'TypeError', message: /broken schema/ }),
      )
    }
  })
})

describe('a contract', () => {
  test('without methods leaves them open; its events are checked', async (t) => {
    const place = memory(t)
    const member = await joined(t, place, {
      contract: defineContract({ events: { saved: { data: z.object({ id: z.number() }) } } }),
      methods: { any: (x: unknown) => x },
    })
    assert.equal(await member.call('any', 1), 1)
    await assert.rejects(member.publish('saved', { id: 'x' } as never), code('INVALID_PARAMS'))
  })

  test('its items may come from whatever can be iterated', async (t) => {
    const place = memory(t)
    const member = await joined(t, place, {
      contract: defineContract({ methods: { items: { yields: z.number().max(2) } } }),
      methods: { items: () => Readable.from([1, 2, 3]) as never },
    })
    const items = member.stream('items')
    assert.deepEqual([(await items.next()).value, (await items.next()).value], [1, 2])
    await assert.rejects(items.next(), code('INVALID_RESULT'))
  })

  test('what can be awaited as well as iterated is awaited', async (t) => {
    const query = {
      // oxlint-disable-next-line unicorn/no-thenable
      then: (done: (rows: number[]) => void) => done([1, 2]),
      async *[Symbol.asyncIterator]() {
        yield 1
      },
    }
    for (const contract of [undefined, defineContract({ methods: { rows: { result: z.array(z.number()) } } })]) {
      const member = await joined(t, memory(t), { contract, methods: { rows: () => query as never } })
      assert.deepEqual(await member.with().call('rows'), [1, 2])
    }
  })

  test('names from afar never reach the prototype', async (t) => {
    const place = memory(t)
    const member = await joined(t, place, { contract, methods })
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      await assert.rejects(member.with().call(name), code('METHOD_NOT_FOUND'))
    }
  })
})

/** What a handler saw. */
interface Saw {
  readonly remainingMs: number
  readonly signal: AbortSignal
  readonly nested: Promise<unknown>
}

onBoth('nested calls through ctx.member inherit the deadline', async (t, place) => {
  const saw: Saw[] = []
  const hang = (): Promise<never> => new Promise(() => {})
  const outer = (_: unknown, ctx: Context): Promise<unknown> => {
    const nested = ctx.member.call('inner', undefined, { timeoutMs: 60_000, to: { name: 'inner' } })
    saw.push({ remainingMs: ctx.remainingMs, signal: ctx.signal, nested })
    return nested
  }
  const inner = (_: unknown, ctx: Context): Promise<never> => {
    saw.push({ remainingMs: ctx.remainingMs, signal: ctx.signal, nested: Promise.resolve() })
    return hang()
  }
  const first = await joined(t, place, { name: 'outer', methods: { outer } })
  await joined(t, place, { name: 'inner', methods: { inner } })
  let timeoutMs = 300
  // On a busy machine the inner one may not be asked in time: then with more time.
  for (; ; timeoutMs *= 4) {
    await assert.rejects(first.call('outer', undefined, { timeoutMs }), code('TIMEOUT'))
    if (saw.length === 2 || timeoutMs > 10_000) break
    saw.length = 0
  }
  assert.equal(saw.length, 2, 'both handlers run')
  for (const { remainingMs } of saw) assert.ok(remainingMs <= timeoutMs, `${remainingMs} ms left of ${timeoutMs}`)
  await assert.rejects(saw[0]!.nested, (error) => ConclaveError.is(error, 'TIMEOUT', 'ABORTED'))
  await until(() => saw.every(({ signal }) => signal.aborted), 'both to be told')
})

onBoth('nested calls inherit the abort, and the reason stays at home', async (t, place) => {
  const signals: AbortSignal[] = []
  const keep = (ctx: Context): void => void signals.push(ctx.signal)
  await joined(t, place, {
    name: 'outer',
    methods: {
      outer: (_: unknown, ctx: Context) => {
        keep(ctx)
        return ctx.member.call('inner', undefined, { to: { name: 'inner' } })
      },
      streamed: async (_: unknown, ctx: Context) => {
        keep(ctx)
        for await (const _item of ctx.member.stream('items', undefined, { to: { name: 'inner' } }));
      },
      gathered: async (_: unknown, ctx: Context) => {
        keep(ctx)
        for await (const _reply of ctx.member.gather('inner'));
      },
    },
  })
  const inner = (_: unknown, ctx: Context): Promise<never> => (keep(ctx), new Promise(() => {}))
  async function* items(_: unknown, ctx: Context): AsyncGenerator<number> {
    keep(ctx)
    yield 1
    await inner(_, ctx)
  }
  const second = await joined(t, place, { name: 'inner', methods: { inner, items } })
  for (const method of ['outer', 'streamed', 'gathered']) {
    signals.length = 0
    const stop = new AbortController()
    const call = second.call(method, undefined, { signal: stop.signal })
    await until(() => signals.length >= 2, `${method} to have called`)
    stop.abort('enough')
    await assert.rejects(call, code('ABORTED', { cause: 'enough' }))
    await until(() => signals.every(({ aborted }) => aborted), `all of ${method} to be told`)
    for (const { reason } of signals) assert.ok(ConclaveError.is(reason, 'ABORTED'))
  }
})

onBoth('a handler knows its caller, its attempt, and has the member at hand', async (t, place) => {
  const seen: [unknown, unknown, unknown][] = []
  const who = (_: unknown, { caller, attempt, traceparent, member }: Context): string => {
    seen.push([caller, attempt, traceparent])
    return member.id
  }
  const first = await joined(t, place, { name: 'a', methods: { who } })
  const second = await joined(t, place, { name: 'b' })
  const ref = ({ id, name }: Member): object => ({ id, name, pid: first.primary!.pid })
  assert.equal(await second.call('who'), first.id)
  assert.equal(await first.call('who'), first.id)
  const [caller, own] = seen.map(([ref]) => ref) as [{ id: string; name: string }, unknown]
  assert.deepEqual([caller.id, caller.name], [second.id, 'b'])
  assert.deepEqual(own, ref(first))
  assert.deepEqual(
    seen.map(([, attempt, trace]) => [attempt, trace]),
    [
      [1, undefined],
      [1, undefined],
    ],
  )
})
