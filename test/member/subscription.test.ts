import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Event } from 'conclave'
import { execute, NODE_FLAGS, ROOT, until, workspace } from '../support/index.ts'
import { code, joined, memory, onBoth, several, take } from './support.ts'

onBoth('an event reaches every subscriber, oneself too, in one order', async (t, place) => {
  const members = await several(t, place, 3)
  const subscriptions = members.map((member) => member.subscribe('a.*'))
  await Promise.all(subscriptions.map(({ ready }) => ready))
  const seqs = await Promise.all(members.map((member, i) => member.publish(`a.${i}`, { i })))
  const seen = await Promise.all(subscriptions.map((subscription) => take<Event>(subscription, 3)))
  for (const events of seen) assert.deepEqual(events, seen[0])
  for (const { topic, data, seq, term, publisher, missed, missedAtLeast, exact, time } of seen[0]!) {
    const { i } = data as { i: number }
    assert.deepEqual([topic, seq, term, publisher.id], [`a.${i}`, seqs[i], 1, members[i]!.id])
    assert.deepEqual([missed, missedAtLeast, exact, typeof time], [0, 0, true, 'number'])
  }
  assert.ok(seen[0]!.every(({ seq }, i, all) => i === 0 || seq > all[i - 1]!.seq))
})

describe('subscribe', () => {
  test('is in force with the call: what I publish next is seen', async (t) => {
    for (const member of await several(t, memory(t), 2)) {
      const events = member.subscribe('x')
      void member.publish('x', 1)
      assert.equal((await events.next()).value?.data, 1)
      assert.ok((await events.ready) > 0)
    }
  })

  test('from: earliest, after, last; what is asked for and gone shows in missed', async (t) => {
    const place = memory(t)
    const [first, second] = await several(t, place, 2, () => ({ limits: { ringMaxCount: 5 } }))
    const seqs: number[] = []
    for (let i = 0; i < 8; i++) seqs.push(await second!.publish('x', i))
    const data = async (from: object | 'earliest', count: number): Promise<unknown[]> =>
      (await take<Event>(second!.subscribe('x', { from } as never), count)).map((event) => event.data)
    assert.deepEqual(await data('earliest', 5), [3, 4, 5, 6, 7])
    assert.deepEqual(await data({ last: 2 }, 2), [6, 7])
    assert.deepEqual(await data({ after: seqs[5] }, 2), [6, 7])
    const [lost] = await take<Event>(second!.subscribe('x', { from: { after: seqs[0]! } }), 1)
    assert.deepEqual([lost!.data, lost!.exact, lost!.missed], [3, false, Infinity])
    for (const from of ['yesterday', { after: -1 }, { last: 1.5 }] as never[]) {
      const refused = first!.subscribe('x', { from })
      await assert.rejects(refused.ready, code('INVALID_OPTION'))
      await assert.rejects(refused.next(), code('INVALID_OPTION'))
    }
  })

  test('refuses patterns and options that mean nothing, at once', async (t) => {
    const member = await joined(t, memory(t))
    for (const pattern of ['', 'a..b', '>.a', 'a*', ' a']) {
      assert.throws(() => member.subscribe(pattern), code('INVALID_OPTION'), pattern)
    }
    assert.throws(() => member.subscribe('a', { maxQueued: 0 }), code('INVALID_OPTION'))
    assert.throws(() => member.subscribe('a', { overflow: 'block' as never }), code('INVALID_OPTION'))
  })

  test('a full queue drops by its policy, and says so in missed and in status()', async (t) => {
    const [, second] = await several(t, memory(t), 2)
    const statuses = second!.status()
    const oldest = second!.subscribe('x', { maxQueued: 2 })
    const newest = second!.subscribe('x', { maxQueued: 2, overflow: 'drop-newest' })
    const ended = second!.subscribe('x', { maxQueued: 2, overflow: 'disconnect' })
    await Promise.all([oldest.ready, newest.ready, ended.ready])
    for (let i = 0; i < 5; i++) await second!.publish('x', i)
    const seen = async (events: AsyncIterator<Event, undefined>): Promise<unknown[]> =>
      (await take(events, 2)).map(({ data, missed }) => [data, missed])
    assert.deepEqual(await seen(oldest), [
      [3, 3],
      [4, 0],
    ])
    assert.deepEqual(await seen(newest), [
      [0, 0],
      [1, 0],
    ])
    void second!.publish('x', 5)
    assert.deepEqual(
      (await take<Event>(newest, 1)).map(({ data, missed }) => [data, missed]),
      [[5, 3]],
    )
    assert.deepEqual(await seen(ended), [
      [0, 0],
      [1, 0],
    ])
    await assert.rejects(ended.next(), code('OVERLOADED'))
    assert.deepEqual(await ended.next(), { done: true, value: undefined })
    const dropped = (await take(statuses, 5)).filter(({ type }) => type === 'dropped')
    assert.deepEqual(dropped[0], { type: 'dropped', pattern: 'x', count: 1 })
  })

  test('close delivers what is queued; return, break and signal end it', async (t) => {
    const [, second] = await several(t, memory(t), 2)
    const closed = second!.subscribe('x')
    const left = second!.subscribe('x')
    const stop = new AbortController()
    const stopped = second!.subscribe('x', { signal: stop.signal })
    await stopped.ready
    for (let i = 0; i < 3; i++) await second!.publish('x', i)
    await closed.close()
    await closed.close()
    await left.return?.()
    stop.abort()
    await second!.publish('x', 'after')
    assert.deepEqual(
      (await take<Event>(closed, 9)).map(({ data }) => data),
      [0, 1, 2],
    )
    assert.deepEqual(await take(left, 9), [])
    assert.deepEqual(
      (await take<Event>(stopped, 9)).map(({ data }) => data),
      [0, 1, 2],
    )
    assert.deepEqual(await take(second!.subscribe('x', { signal: AbortSignal.abort() }), 1), [])
    {
      await using disposed = second!.subscribe('x')
      await disposed.ready
    }
    await until(
      async () => (await second!.inspect()).links.every(({ subscriptions }) => subscriptions === 0),
      'all to end',
    )
    await assert.rejects(second!.subscribe('y', { signal: AbortSignal.abort() }).ready, code('CLOSED'))
  })

  test('A12, P3: over the death of the primary: no repeat, and the first event of the new term says what is not known', async (t) => {
    const place = memory(t)
    const [first, second, third] = await several(t, place, 3)
    const events = third!.subscribe('x')
    await events.ready
    await second!.publish('x', 'before')
    place.kill(first!)
    await second!.publish('x', 'after')
    const [before, after] = await take<Event>(events, 2)
    assert.deepEqual([before!.data, before!.term, before!.missed], ['before', 1, 0])
    assert.deepEqual([after!.data, after!.term, after!.missed, after!.exact], ['after', 2, Infinity, false])
    assert.ok(after!.seq > before!.seq)
  })

  test('A12, A13: after a hand-over nothing is missing, and it says so', async (t) => {
    const [first, second, third] = await several(t, memory(t), 3)
    const events = third!.subscribe('x')
    await events.ready
    await second!.publish('x', 'before')
    await first!.close()
    await second!.publish('x', 'after')
    assert.deepEqual(
      (await take<Event>(events, 2)).map(({ data, missed, term }) => [data, missed, term]),
      [
        ['before', 0, 1],
        ['after', 0, 2],
      ],
    )
  })

  test('A12, A7: a term that never served stands between two and takes nothing from the count', async (t) => {
    const place = memory(t)
    const first = await joined(t, place)
    let failures = 1
    const second = await joined(t, place, {
      whilePrimary: () => {
        if (failures-- > 0) throw new Error('not yet')
      },
    })
    const watcher = await joined(t, place, { primary: 'never' })
    const events = watcher.subscribe('x')
    await events.ready
    await first.publish('x', 'before')
    await first.close()
    await second.publish('x', 'after')
    assert.deepEqual(
      (await take<Event>(events, 2)).map(({ data, missed, term }) => [data, missed, term]),
      [
        ['before', 0, 1],
        ['after', 0, 3],
      ],
    )
  })

  test('the system’s own topics are told, and wildcards in front do not match them', async (t) => {
    const place = memory(t)
    const first = await joined(t, place)
    const [system, rest] = [first.subscribe('$member.*'), first.subscribe('>')]
    const second = await joined(t, place, { name: 'b' })
    await second.close()
    await first.publish('mine', 1)
    const [joinedEvent, left] = await take<Event>(system as never, 2)
    assert.deepEqual([joinedEvent!.topic, (joinedEvent!.data as { id: string }).id], ['$member.joined', second.id])
    assert.deepEqual([left!.topic, (left!.data as { cause: string }).cause], ['$member.left', 'closed'])
    assert.equal((await rest.next()).value?.topic, 'mine')
  })
})

describe('on', () => {
  test('calls a listener with one event at a time', async (t) => {
    const [first, second] = await several(t, memory(t), 2)
    let running = 0
    const heard: unknown[] = []
    const subscription = second!.on('x', async ({ data }) => {
      assert.equal(++running, 1)
      await new Promise((resolve) => setImmediate(resolve))
      running--
      heard.push(data)
    })
    await subscription.ready
    for (let i = 0; i < 10; i++) void first!.publish('x', i)
    await until(() => heard.length === 10, 'ten events')
    assert.deepEqual(heard, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    await subscription.close()
    await first!.publish('x', 'late')
    await second!.inspect()
    assert.equal(heard.length, 10)
  })

  test('what a listener throws is an uncaught exception, and it hears the next event all the same', async (t) => {
    const program = `${ROOT}test/programs/listener-throws.ts`
    const args = [...NODE_FLAGS, program, workspace(t)]
    const kept = await execute(t, process.execPath, [...args, 'catch'])
    assert.deepEqual(kept.stdout.trim().split('\n'), ['heard 1', 'uncaught 1', 'heard 2', 'uncaught 2', 'closed'])
    assert.equal(kept.code, 0, kept.stderr)
    const crashed = await execute(t, process.execPath, args)
    assert.equal(crashed.code, 1)
    assert.match(crashed.stderr, /Error: thrown for 1/)
  })

  test('that the member is aborted or closed is no uncaught exception; a subscription that ends by itself is', async (t) => {
    const program = `${ROOT}test/programs/listener-ends.ts`
    for (const [how, uncaught] of [
      ['abort', ''],
      ['close', ''],
      ['overflow', 'uncaught OVERLOADED'],
    ] as const) {
      const {
        code: exit,
        stdout,
        stderr,
      } = await execute(t, process.execPath, [...NODE_FLAGS, program, workspace(t), how])
      assert.equal(exit, 0, stderr)
      assert.equal(stdout.trim(), `${uncaught} done`.trim(), how)
    }
  })
})
