import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { describe, test } from 'node:test'
import { ConclaveError, defineContract, type Event, type Member, type Schema } from 'conclave'
import { z } from 'zod'
import type { Tx } from '../../src/member/database.ts'
import { workspace } from '../support/index.ts'
import { all, code, joined, memory, onBoth, several, take } from './support.ts'

const SECRET = 'hunter2'

/** Quotes the value wherever it can. */
const loud: Schema<string> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => ({ issues: [{ message: `${String(value)} is no password`, path: [String(value)] }] }),
  },
}
const throws: Schema<string> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => {
      throw new TypeError(`${String(value)} is no password`)
    },
  },
}
const rejects: Schema<string> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => Promise.reject(new TypeError(`${String(value)} is no password`)),
  },
}

const contract = defineContract({
  methods: {
    params: { params: loud, result: z.string(), sensitive: true },
    throws: { params: throws, sensitive: true },
    rejects: { params: rejects, sensitive: true },
    result: { result: loud, sensitive: true },
    items: { yields: loud, sensitive: true },
    open: { params: loud },
  },
  events: {
    token: { data: z.string(), sensitive: true },
    'secret.>': { data: loud, sensitive: true },
    news: { data: z.unknown() },
  },
  writes: { params: { params: loud, sensitive: true }, result: { result: loud, sensitive: true } },
})

const methods = {
  params: () => SECRET,
  throws: () => {},
  rejects: () => {},
  result: () => SECRET,
  async *items() {
    yield SECRET
  },
  open: () => {},
}

/** Refused, and nothing of the error quotes the value. */
async function refusedInSilence(tried: Promise<unknown>, expected: string): Promise<void> {
  await assert.rejects(tried, (error) => {
    code(expected, { data: { issues: [] } })(error)
    assert.doesNotMatch(inspect(error, { depth: 9 }), new RegExp(SECRET))
    assert.match((error as ConclaveError).message, /marked sensitive/)
    return true
  })
}

onBoth('an event that its contract or its publisher marks is told as such, and has its data', async (t, place) => {
  const [first, second] = await several(t, place, 2)
  const typed = second!.with(contract)
  const subscriptions = [first!, second!].map((member) => member.subscribe('>'))
  await Promise.all(subscriptions.map(({ ready }) => ready))
  const long = SECRET.repeat(100_000)
  const bytes = new Uint8Array([1, 2])
  await typed.publish('token', SECRET)
  await typed.publish('news', SECRET)
  await typed.publish('news', SECRET, { sensitive: true })
  await typed.publish('token', SECRET, { sensitive: false })
  await second!.publish('untyped', bytes, { sensitive: true })
  await second!.publish('untyped', long, { sensitive: true })
  await first!.publish('untyped', SECRET, {})
  const expected = [
    ['token', SECRET, true],
    ['news', SECRET, false],
    ['news', SECRET, true],
    ['token', SECRET, true],
    ['untyped', bytes, true],
    ['untyped', long, true],
    ['untyped', SECRET, false],
  ]
  const replayed = first!.subscribe('>', { from: { last: expected.length } })
  for (const subscription of [...subscriptions, replayed]) {
    const events = await take<Event>(subscription, expected.length)
    assert.deepEqual(
      events.map(({ topic, data, sensitive }) => [topic, data, sensitive]),
      expected,
    )
  }
})

test('an event that waits for a new primary keeps its mark', async (t) => {
  const place = memory(t)
  const [first, second] = await several(t, place, 2)
  const events = second!.subscribe('token')
  await events.ready
  place.kill(first!)
  void second!.publish('token', SECRET, { sensitive: true })
  assert.equal((await take<Event>(events, 1))[0]?.sensitive, true)
})

describe('what does not fit a sensitive schema is refused without a word of it:', () => {
  const world = async (t: Parameters<typeof memory>[0]): Promise<Member<typeof contract>> => {
    const place = memory(t)
    await joined(t, place, { contract, methods })
    return (await joined(t, place, { contract })) as Member<typeof contract>
  }

  test('params, also when the schema throws', async (t) => {
    const member = await world(t)
    await refusedInSilence(member.call('params', SECRET), 'INVALID_PARAMS')
    await refusedInSilence(member.call('throws', SECRET), 'INVALID_PARAMS')
    await refusedInSilence(member.call('rejects', SECRET), 'INVALID_PARAMS')
    await assert.rejects(member.call('open', SECRET), code('INVALID_PARAMS', { message: new RegExp(SECRET) }))
  })

  test('results and items', async (t) => {
    const member = await world(t)
    await refusedInSilence(member.call('result'), 'INVALID_RESULT')
    await refusedInSilence(all(member.stream('items')), 'INVALID_RESULT')
  })

  test('the data of an event', async (t) => {
    const member = await world(t)
    await refusedInSilence(member.publish('secret.a', SECRET), 'INVALID_PARAMS')
  })

  test('params and results of a write, and it is rolled back', async (t) => {
    const folder = workspace(t)
    const writes = {
      params: () => {},
      result: (tx: Tx) => {
        tx.exec('insert into note values (1)')
        return SECRET
      },
    }
    const database = { migrations: ['create table note(id)'], writes }
    const primary = await joined(t, folder, { contract, database })
    const secondary = await joined(t, folder, { contract, database })
    for (const { db } of [primary, secondary]) {
      await refusedInSilence(db.writes.params(SECRET), 'INVALID_PARAMS')
      await refusedInSilence(db.writes.result(), 'INVALID_RESULT')
    }
    assert.deepEqual(secondary.db.read.prepare('select id from note').all(), [])
  })
})
