import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs'
import { basename, join as path } from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { ConclaveError, findWorkspace, join, type Context, type Member, type Start, type Status } from 'conclave'
import { defer, ROOT, temporaryDirectory, until, workspace } from '../support/index.ts'
import { all, code, joined, memory, onBoth, several, take } from './support.ts'

onBoth('two members in one process are strangers that meet', async (t, place) => {
  const [first, second] = (await several(t, place, 2, () => ({
    methods: { who: (_: unknown, c: Context) => c.member.id },
  }))) as [Member, Member]
  assert.notEqual(first.id, second.id)
  assert.deepEqual([first.role, second.role, second.term], ['primary', 'secondary', 1])
  assert.equal(second.primary?.id, first.id)
  assert.equal(await second.call('who'), first.id)
  await first.close()
  assert.equal(await second.call('who'), second.id)
  assert.deepEqual([second.role, second.term], ['primary', 2])
})

onBoth('what a member offers is known to all when its join() is over', async (t, place) => {
  const first = await joined(t, place)
  for (let i = 0; i < 20; i++) {
    const { id } = await joined(t, place, { methods: { [`m${i}`]: (): number => i } })
    assert.equal(await first.with().call(`m${i}`, undefined, { to: 'any' }), i)
    assert.equal(await first.with().call(`m${i}`, undefined, { to: { id } }), i)
  }
})

onBoth('B14: in the first moments of a term a target that is on its way is waited for', async (t, place) => {
  for (let round = 0; round < 10; round++) {
    const members = await several(t, place, 4, (i) => ({
      limits: { graceMs: 30_000 },
      methods: { who: () => i, ...(i === 3 ? { only: () => 3 } : {}) },
    }))
    const [first, second, third, last] = members as [Member, Member, Member, Member]
    first.abort()
    await until(() => [second, third, last].some(({ role }) => role === 'primary'), 'a new primary')
    const from = [second, third, last].find(({ role }) => role === 'primary')!
    const [any, id, name, replies] = await Promise.all([
      from.call('only', undefined, { to: 'any' }),
      from.call('who', undefined, { to: { id: last.id } }),
      from.call('who', undefined, { to: { name: 'm2' } }),
      all(from.gather('who')),
    ])
    assert.deepEqual([any, id, name], [3, 3, 2])
    assert.deepEqual(replies.map((reply) => reply.ok && reply.result).sort(), [1, 2, 3])
    for (const each of members) each.abort()
  }
})

describe('primary', () => {
  test("'never' finds nobody at once, or waits; it makes no folder", async (t) => {
    const folder = workspace(t)
    await assert.rejects(join(folder, { primary: 'never' }), code('NO_PRIMARY', { retryable: true }))
    assert.equal(existsSync(path(folder, '.conclave')), false)
    await assert.rejects(join(folder, { primary: 'never', waitMs: 30 }), code('NO_PRIMARY'))
    const waiting = joined(t, folder, { primary: 'never', waitMs: 30_000 })
    const first = await joined(t, folder)
    const second = await waiting
    assert.equal(second.role, 'secondary')
    await first.close()
    await assert.rejects(second.call('x', undefined, { timeoutMs: 50 }), code('TIMEOUT'))
    assert.equal(second.role, 'secondary', 'it never stands')
  })

  test("'must' says who serves, or waits for the seat", async (t) => {
    const place = memory(t)
    const first = await joined(t, place, { name: 'editor', primary: 'must' })
    assert.equal(first.role, 'primary')
    const error: unknown = await join(place, { primary: 'must' }).catch((e: unknown) => e)
    assert.ok(ConclaveError.is(error, 'PRIMARY_EXISTS'))
    assert.match(error.message, /editor \(pid \d+\)/)
    assert.deepEqual((error.data as { id: string }).id, first.id)
  })

  test('a signal ends the wait, and closes the member afterwards', async (t) => {
    const place = memory(t)
    const stop = new AbortController()
    const waiting = join(place, { primary: 'never', waitMs: 30_000, signal: stop.signal })
    stop.abort('enough')
    await assert.rejects(waiting, code('ABORTED', { cause: 'enough' }))
    await assert.rejects(join(place, { signal: stop.signal }), code('ABORTED'))
    const later = new AbortController()
    const member = await join(place, { signal: later.signal })
    later.abort()
    assert.deepEqual(await member.closed, { type: 'closed' })
  })

  test('app: two products in one folder never meet', async (t) => {
    for (const place of [memory(t), workspace(t)]) {
      const members = [
        await joined(t, place),
        await joined(t, place, { app: 'a' }),
        await joined(t, place, { app: 'b' }),
      ]
      assert.deepEqual(
        members.map(({ role }) => role),
        ['primary', 'primary', 'primary'],
      )
      assert.equal((await joined(t, place, { app: 'a' })).primary?.id, members[1]!.id)
    }
  })

  test('a file: URL and a path are one place', async (t) => {
    const folder = workspace(t)
    const first = await joined(t, pathToFileURL(folder))
    const second = await joined(t, folder)
    assert.equal(second.primary?.id, first.id)
    assert.equal(second.workspace, folder)
  })

  test('B3: two paths that lead to one folder are one workspace', async (t) => {
    const folder = workspace(t)
    const link = path(temporaryDirectory(t), 'link')
    symlinkSync(folder, link)
    const first = await joined(t, folder)
    const second = await joined(t, link)
    assert.equal(second.primary?.id, first.id)
  })
})

type Begin = Start<{ readonly member: Member; readonly term: number }>

describe('whilePrimary', () => {
  test('A13: runs before it serves, and has ended before the next one starts', async (t) => {
    for (const place of [memory(t), workspace(t)]) {
      const log: string[] = []
      const slow = (what: string) => async (): Promise<void> => {
        log.push(`${what}…`)
        await new Promise((resolve) => setTimeout(resolve, 20))
        log.push(what)
      }
      const duty =
        (name: string): Begin =>
        async ({ term, member, signal }) => {
          assert.equal(member.role, 'primary')
          signal.addEventListener('abort', () => log.push(`${name} is told`))
          await slow(`${name} starts ${term}`)()
          return slow(`${name} stops`)
        }
      const first = joined(t, place, { name: 'a', whilePrimary: duty('a') })
      const second = joined(t, place, {
        name: 'b',
        whilePrimary: duty('b'),
        methods: { x: () => log.push('b serves') },
      })
      const [a, b] = (await first).role === 'primary' ? [await first, await second] : [await second, await first]
      const [one, two] = [a.name, b.name]
      await a.close()
      await until(() => b.role === 'primary' && log.length >= 7, 'the other to serve')
      const begun = [`${one} starts 1…`, `${one} starts 1`]
      const ended = [`${one} is told`, `${one} stops…`, `${one} stops`]
      assert.deepEqual(log, [...begun, ...ended, `${two} starts 2…`, `${two} starts 2`])
      await b.close()
      assert.equal(log.at(-1), `${two} stops`)
    }
  })

  test('its stop is a function, a Disposable, an AsyncDisposable, or nothing', async (t) => {
    const place = memory(t)
    const stopped: string[] = []
    const stops: Record<string, Begin> = {
      function: () => () => void stopped.push('function'),
      async: async () => async () => void stopped.push('async'),
      disposable: () => ({ [Symbol.dispose]: () => void stopped.push('disposable') }),
      asyncDisposable: async () => ({
        [Symbol.asyncDispose]: async () => void stopped.push('asyncDisposable'),
        [Symbol.dispose]: () => assert.fail(),
      }),
      nothing: () => undefined,
    }
    for (const whilePrimary of Object.values(stops)) await (await join(place, { whilePrimary })).close()
    assert.deepEqual(stopped, ['function', 'async', 'disposable', 'asyncDisposable'])
  })

  test('what it offers with its signal is withdrawn with the term', async (t) => {
    const place = memory(t)
    const first = await joined(t, place, {
      whilePrimary: ({ member, signal }) => void member.offer({ duty: () => member.name }, { signal }),
      name: 'a',
    })
    const second = await joined(t, place, { name: 'b' })
    assert.equal(await second.with().call('duty'), 'a')
    await first.close()
    await assert.rejects(second.with().call('duty'), code('METHOD_NOT_FOUND'))
  })

  test('A7: its failure rejects the join and leaves the seat free', async (t) => {
    const place = memory(t)
    for (const fail of [
      (): never => {
        throw new RangeError('sync')
      },
      (): Promise<never> => Promise.reject(new RangeError('async')),
    ]) {
      await assert.rejects(join(place, { whilePrimary: fail }), RangeError)
    }
    const second = await joined(t, place)
    assert.equal(second.role, 'primary')
    assert.equal(second.term, 3, 'each attempt had a term of its own')
  })

  test('A7: later its failure is a warning, and another takes the seat', async (t) => {
    for (const place of [memory(t), workspace(t)]) {
      const first = await joined(t, place, { name: 'a' })
      let tries = 0
      const bad = await joined(t, place, {
        name: 'bad',
        whilePrimary: () => {
          tries++
          throw new Error('cannot')
        },
      })
      const statuses = bad.status()
      await first.close()
      const warnings: Status[] = []
      for await (const status of statuses) {
        if (status.type === 'warning') warnings.push(status)
        if (warnings.length === 2) break
      }
      assert.equal(tries, 2, 'it stands again, later and later')
      assert.match((warnings[0] as Status & { type: 'warning' }).error.message, /cannot/)
      const third = await joined(t, place, { name: 'good' })
      await until(() => bad.primary?.id === third.id, 'the bad one to be its secondary')
      assert.equal(bad.role, 'secondary')
    }
  })

  test('one that hangs as it stops does not keep close() for ever', async (t) => {
    const place = memory(t)
    const first = await joined(t, place, { whilePrimary: () => () => new Promise(() => {}) })
    await first.close({ timeoutMs: 30 })
    assert.equal((await joined(t, place)).role, 'primary')
  })
})

describe('version', () => {
  test('C3: the later version takes the seat, serves the earlier one, and ends those below minVersion', async (t) => {
    for (const place of [memory(t), workspace(t)]) {
      const serve = (name: string) => ({ methods: { version: (): string => name } })
      const v1 = await joined(t, place, { name: 'v1', version: 1, ...serve('1') })
      const other = await joined(t, place, { name: 'v1', version: 1, ...serve('1') })
      const v2 = await joined(t, place, { name: 'v2', version: 2, minVersion: 1, ...serve('2') })
      await until(() => v2.role === 'primary', 'the later version to serve')
      for (const from of [v1, other, v2]) assert.equal(await from.call('version'), '2')
      assert.deepEqual([v1.role, other.role], ['secondary', 'secondary'])
      await joined(t, place, { name: 'v3', version: 3, ...serve('3') })
      for (const old of [v1, other, v2]) {
        const why = await old.closed
        assert.ok(why.type === 'superseded' && code('SUPERSEDED', { message: /version 3/ })(why.error))
      }
      await assert.rejects(join(place, { version: 1 }), code('SUPERSEDED'))
    }
  })

  test('an earlier version does not take the seat of a later one while that lives', async (t) => {
    const place = memory(t)
    const v2 = await joined(t, place, { version: 2, minVersion: 0 })
    const v1 = await joined(t, place, { version: 1 })
    await v1.inspect()
    assert.deepEqual([v2.role, v1.role], ['primary', 'secondary'])
  })
})

describe('findWorkspace', () => {
  test('gives the nearest folder upwards that is one, by app', async (t) => {
    const folder = workspace(t)
    const deep = path(folder, 'a', 'b')
    mkdirSync(deep, { recursive: true })
    assert.equal(findWorkspace(deep), undefined)
    const outer = await joined(t, folder)
    assert.equal(findWorkspace(deep), folder)
    assert.equal(findWorkspace(folder), folder)
    assert.equal(findWorkspace(deep, { app: 'notes' }), undefined)
    const inner = await joined(t, path(folder, 'a'), { app: 'notes' })
    assert.equal(findWorkspace(deep, { app: 'notes' }), path(folder, 'a'))
    await outer.close()
    await inner.close()
    assert.equal(findWorkspace(deep, { app: 'notes' }), path(folder, 'a'), 'a workspace stays one when nobody is there')
  })
})

test('A10: two copies of the package in one process meet, share places and know each other’s errors', async (t) => {
  const copy = path(ROOT, 'build', `copy-${basename(temporaryDirectory(t))}`)
  cpSync(path(ROOT, 'src'), path(copy, 'src'), { recursive: true })
  defer(t, async () => (await import('node:fs')).rmSync(copy, { recursive: true, force: true }))
  for (const each of ['package.json', 'native', 'prebuilds']) {
    if (existsSync(path(ROOT, each))) symlinkSync(path(ROOT, each), path(copy, each))
  }
  symlinkSync(path(ROOT, 'build'), path(copy, 'build'))
  const other = (await import(pathToFileURL(path(copy, 'src', 'index.ts')).href)) as typeof import('conclave')
  assert.notEqual(other.join, join)
  for (const place of [memory(t), workspace(t)]) {
    const first = await joined(t, place, { methods: { who: () => 'ours' } })
    const second = await other.join(place)
    defer(t, () => second.abort())
    assert.equal(second.primary?.id, first.id)
    assert.equal(await second.call('who'), 'ours')
    const error: unknown = await second.call('none').catch((e: unknown) => e)
    assert.ok(ConclaveError.is(error, 'METHOD_NOT_FOUND') && !(error instanceof ConclaveError))
    await take(second.status(), 1)
  }
})
