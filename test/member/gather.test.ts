import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ConclaveError, defineContract, type Context, type Member, type Reply } from 'conclave'
import { z } from 'zod'
import { until } from '../support/index.ts'
import { all, code, gate, joined, memory, onBoth, several } from './support.ts'

const short = (reply: Reply<unknown>): unknown => [reply.from.name, reply.ok ? reply.result : reply.error.code]
const sorted = (replies: Reply<unknown>[]): unknown => replies.map(short).sort()

onBoth('B15: one reply for each member, errors among them; one’s own too', async (t, place) => {
  const members = await several(t, place, 4, (i) => ({
    methods: {
      who: () => {
        if (i === 2) throw new RangeError('no')
        return i
      },
      ...(i === 1 ? { few: () => 'x' } : {}),
    },
  }))
  for (const from of members) {
    assert.deepEqual(sorted(await all(from.gather('who'))), [
      ['m0', 0],
      ['m1', 1],
      ['m2', 'FAILED'],
      ['m3', 3],
    ])
    assert.deepEqual(sorted(await all(from.gather('few'))), [['m1', 'x']])
    assert.deepEqual(await all(from.gather('none')), [])
    const none = (name: string): [string, string] => [name, 'METHOD_NOT_FOUND']
    assert.deepEqual(sorted(await all(from.gather('few', 1, { to: 'all' }))), [
      none('m0'),
      ['m1', 'x'],
      none('m2'),
      none('m3'),
    ])
    assert.deepEqual(sorted(await all(from.gather('who', 1, { to: { name: 'm3' } }))), [['m3', 3]])
    const others = (await all(from.gather('who', 1, { to: 'others' }))).map((reply) => reply.from.name)
    assert.deepEqual(
      others.sort(),
      ['m0', 'm1', 'm2', 'm3'].filter((name) => name !== from.name),
    )
    const ids = ['A'.repeat(22), members[3]!.id]
    const some = await all(from.gather('who', 1, { to: { ids } }))
    assert.deepEqual(sorted(some), [
      ['', 'MEMBER_NOT_FOUND'],
      ['m3', 3],
    ])
    assert.equal(some.find(({ ok }) => !ok)?.from.id, ids[0])
  }
})

describe('gather', () => {
  test('options of the wrong form are refused before anybody is asked', async (t) => {
    let asked = 0
    const [first] = await several(t, memory(t), 1, () => ({ methods: { who: () => ++asked } }))
    const member = first!
    for (const to of ['primary', 'any', { id: member.id }, { name: '' }, { ids: 'x' }, { ids: [1] }, {}, 5]) {
      const refused = code('INVALID_OPTION', { message: /"all", "others", \{ name \} or \{ ids \}/ })
      assert.throws(() => member.gather('who', 1, { to: to as never }), refused)
    }
    await assert.rejects(member.notify('who', 1, { to: { ids: 'x' } as never }), code('INVALID_OPTION'))
    for (const want of [-1, NaN, '1']) {
      assert.throws(() => member.gather('who', 1, { want: want as never }), code('INVALID_OPTION', { message: /want/ }))
    }
    await member.inspect()
    assert.equal(asked, 0)
  })

  test('an id that is named twice is asked once', async (t) => {
    const [first, second] = await several(t, memory(t), 2, (i) => ({ methods: { who: () => i } }))
    const ids = [second!.id, 'A'.repeat(22), second!.id, 'A'.repeat(22)]
    assert.deepEqual(sorted(await all(first!.gather('who', 1, { to: { ids } }))), [
      ['', 'MEMBER_NOT_FOUND'],
      ['m1', 1],
    ])
  })

  test('a silent member is a TIMEOUT, at GATHER_TIMEOUT_MS unless asked', async (t) => {
    const hang = (): Promise<never> => new Promise(() => {})
    const [first, second] = await several(t, memory(t), 3, (i) => ({ methods: { who: i === 1 ? hang : () => i } }))
    // By itself: from the others an answer would have to be here in time.
    const silent = first!.gather('who', undefined, { to: { ids: [second!.id] }, timeoutMs: 50 })
    assert.deepEqual(sorted(await all(silent)), [['m1', 'TIMEOUT']])
    assert.deepEqual(sorted(await all(first!.gather('who'))), [
      ['m0', 0],
      ['m1', 'TIMEOUT'],
      ['m2', 2],
    ])
  })

  test('what hangs does not hold back what answers, and leaving the loop tells it', async (t) => {
    const told: unknown[] = []
    const hang = (_: unknown, { signal }: Context): Promise<never> => {
      signal.addEventListener('abort', () => told.push(signal.reason))
      return new Promise(() => {})
    }
    const [first] = await several(t, memory(t), 3, (i) => ({ methods: { who: i === 2 ? () => 'here' : hang } }))
    for await (const reply of first!.gather('who', undefined, { timeoutMs: 60_000 })) {
      assert.deepEqual(short(reply), ['m2', 'here'])
      break
    }
    await until(() => told.length === 2, 'both to be told')
    assert.ok(told.every((reason) => ConclaveError.is(reason, 'ABORTED')))
  })

  test('want: ends after so many results, errors do not count, the rest is told', async (t) => {
    let told = 0
    const hang = (_: unknown, { signal }: Context): Promise<never> => {
      signal.addEventListener('abort', () => told++)
      return new Promise(() => {})
    }
    const fail = (): never => {
      throw new Error('no')
    }
    const [first] = await several(t, memory(t), 5, (i) => ({
      methods: { who: i === 4 ? hang : i === 0 ? fail : () => i },
    }))
    const replies = await all(first!.gather('who', undefined, { want: 2, timeoutMs: 60_000 }))
    assert.equal(replies.filter(({ ok }) => ok).length, 2)
    await until(() => told === 1, 'the silent one to be told')
    assert.deepEqual(await all(first!.gather('who', undefined, { want: 0 })), [])
  })

  test('an abort ends it with ABORTED and its reason, before and while it runs', async (t) => {
    let running = 0
    const hang = (): Promise<never> => (running++, new Promise(() => {}))
    const [, second] = await several(t, memory(t), 2, () => ({ methods: { who: hang } }))
    const stop = new AbortController()
    const end = assert.rejects(
      all(second!.gather('who', 1, { signal: stop.signal })),
      code('ABORTED', { cause: 'enough' }),
    )
    await until(() => running === 2, 'both to run')
    stop.abort('enough')
    await end
    await assert.rejects(all(second!.gather('who', 1, { signal: stop.signal })), code('ABORTED', { cause: 'enough' }))
  })

  test('B15: a member that dies is CALLEE_LOST, the primary’s death leaves nobody out', async (t) => {
    const place = memory(t)
    let running = 0
    const hang = (): Promise<never> => (running++, new Promise(() => {}))
    const [first, second, third] = await several(t, place, 3, () => ({ methods: { who: hang } }))
    const lost = all(third!.gather('who', 1, { to: { ids: [second!.id] }, timeoutMs: 20_000 }))
    await until(() => running === 1, 'it to run')
    place.kill(second!)
    assert.deepEqual(sorted(await lost), [['m1', 'CALLEE_LOST']])

    const replies = all(third!.gather('who', 1, { timeoutMs: 20_000 }))
    await until(() => running === 3, 'both to run')
    place.kill(first!)
    assert.deepEqual(sorted(await replies), [
      ['m0', 'DISCONNECTED'],
      ['m2', 'DISCONNECTED'],
    ])
  })

  test('B15: repeated in a new term, it is still asked of the same members', async (t) => {
    const place = memory(t)
    const contract = defineContract({ methods: { who: { result: z.string(), idempotent: true } } })
    let running = 0
    const { opened, open } = gate()
    const members = await several(t, place, 4, (i) => ({
      contract,
      limits: { graceMs: 30_000 },
      methods: { who: () => (running++, opened.then(() => `m${i}`)) },
    }))
    const [first, second, third, last] = members as [Member, Member, Member, Member]
    const ids = [second.id, third.id]
    const replies = all(last.with(contract).gather('who', undefined, { to: { ids }, timeoutMs: 20_000 }))
    await until(() => running === 2, 'both to run')
    place.kill(first)
    await until(() => members.slice(1).every(({ primary }) => primary !== undefined), 'the new term')
    await last.inspect()
    open()
    assert.deepEqual(sorted(await replies), [
      ['m1', 'm1'],
      ['m2', 'm2'],
    ])
  })

  test('of nobody there waits for a primary until its deadline', async (t) => {
    const place = memory(t)
    const first = await joined(t, place)
    const second = await joined(t, place, { primary: 'never' })
    place.kill(first)
    await assert.rejects(all(second.gather('who', 1, { timeoutMs: 50 })), code('TIMEOUT', { outcome: 'not-committed' }))
  })
})
