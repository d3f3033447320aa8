import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { describe, test } from 'node:test'
import { join, type Context, type Place } from 'conclave'
import { memoryWorkspace } from 'conclave/testing'
import { temporaryDirectory } from '../support/index.ts'
import { code, memory, several } from '../member/support.ts'

describe('memoryWorkspace', () => {
  test('a program that takes a place survives its primary, as in API.md', async () => {
    const start = (place: Place) =>
      join(place, { app: 'notes', methods: { who: (_: undefined, ctx: Context) => ctx.member.name } })
    await using place = memoryWorkspace()
    const [a, b] = [await start(place), await start(place)]
    assert.equal(a.role, 'primary')
    place.kill(a)
    assert.equal(await b.call('who'), b.name)
    assert.equal(b.role, 'primary')
  })

  test('touches no file and keeps nothing alive', async (t) => {
    const folder = temporaryDirectory(t)
    process.chdir(folder)
    const before = process.getActiveResourcesInfo().filter((name) => /Pipe|TCP|FS/.test(name))
    await several(t, memory(t), 3)
    assert.deepEqual(readdirSync(folder), [])
    assert.deepEqual(
      process.getActiveResourcesInfo().filter((name) => /Pipe|TCP|FS/.test(name)),
      before,
    )
  })

  test('two are two', async (t) => {
    const [a, b] = [await join(memory(t)), await join(memory(t))]
    assert.deepEqual([a.role, b.role], ['primary', 'primary'])
  })

  test('kill is as SIGKILL: nobody says goodbye, and the killed one is told nothing but ABORTED', async (t) => {
    const place = memory(t)
    const [first, second, third] = await several(t, place, 3, () => ({
      methods: { hang: () => new Promise(() => {}) },
    }))
    const left = first!.subscribe('$member.left')
    await left.ready
    const call = assert.rejects(
      first!.call('hang', 1, { to: { id: second!.id } }),
      code('CALLEE_LOST', { outcome: 'unknown' }),
    )
    const own = assert.rejects(second!.call('hang'), code('ABORTED'))
    await first!.inspect()
    await second!.inspect()
    place.kill(second!)
    await Promise.all([call, own])
    assert.deepEqual(((await left.next()).value!.data as { cause: string }).cause, 'died')
    assert.equal((await second!.closed).type, 'aborted')
    place.kill(second!)
    place.kill({ id: 'nobody' })
    assert.equal((await third!.inspect()).members.length, 2)
  })

  test('disposing it ends members that are joined, and those that still wait', async () => {
    const place = memoryWorkspace()
    const first = await join(place)
    const waiting = join(place, { app: 'other', primary: 'never', waitMs: 60_000 })
    const starting = join(place, { app: 'third', whilePrimary: () => new Promise(() => {}) })
    const rejected = Promise.allSettled([waiting, starting])
    await new Promise((resolve) => setImmediate(resolve))
    await place[Symbol.asyncDispose]()
    assert.equal((await first.closed).type, 'aborted')
    for (const end of await rejected) assert.equal(end.status, 'rejected')
  })
})
