import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { join } from 'conclave'
import { dbproxy, serveWrites, WRITE_ERRORS, writeErrorOf, type Bus, type DbProxy } from 'conclave/zeromq'
import { ConclaveError } from '../../../src/errors/index.ts'
import { Remembered } from '../../../src/dialects/zeromq/remembered.ts'
import { asWriteError } from '../../../src/dialects/zeromq/write-errors.ts'
import { defer, until, workspace } from '../../support/index.ts'
import type { Scope } from '../../support/index.ts'
import { newClient, startBus } from './support.ts'

function proxyOf(t: Scope, bus: Bus): DbProxy<{ all(): number[] }> {
  return dbproxy({ client: newClient(t), primary: () => bus.address, instanceId: 'second', read: { all: () => [1] } })
}

test('reads are local; writes go to the primary by name, with a key of source and request id', async (t) => {
  const bus = await startBus(t)
  const seen: unknown[] = []
  const writes = {
    add: async (params: unknown, { key }: { readonly key: string }) => {
      seen.push(params, key)
      return { id: 7 }
    },
    hidden: async () => 1,
  }
  serveWrites(bus, { writes }, { methods: ['add'] })
  const proxy = proxyOf(t, bus)
  assert.deepEqual(proxy.read.all(), [1])
  assert.deepEqual(await proxy.write('add', { text: 'x' }, { requestId: 'r1' }), { id: 7 })
  assert.deepEqual(seen, [{ text: 'x' }, 'second:r1'])
  // The same request id: the outcome of the first.
  assert.deepEqual(await proxy.write('add', { text: 'x' }, { requestId: 'r1' }), { id: 7 })
  assert.equal(seen.length, 2)
  await assert.rejects(proxy.write('add', { text: 'y' }, { requestId: 'r1' }), { reason: 'INVALID_PARAMS' })
  for (const name of ['hidden', 'constructor', 'sql.run']) {
    await assert.rejects(proxy.write(name), { code: 'METHOD_NOT_FOUND', reason: 'METHOD_NOT_FOUND' }, name)
  }
})

describe('the six errors', () => {
  const CASES: readonly (readonly [name: string, thrown: unknown, reason: string, code: string])[] = [
    ['a timeout', new ConclaveError('TIMEOUT', 'late', { outcome: 'unknown' }), 'TIMEOUT', 'TIMEOUT'],
    ['a primary that is gone', new ConclaveError('NO_PRIMARY', 'x'), 'UNREACHABLE', 'DISCONNECTED'],
    ['an unknown method', new ConclaveError('METHOD_NOT_FOUND', 'x'), 'METHOD_NOT_FOUND', 'METHOD_NOT_FOUND'],
    ['wrong params', new ConclaveError('INVALID_PARAMS', 'x'), 'INVALID_PARAMS', 'INVALID_PARAMS'],
    ['a constraint', new ConclaveError('CONFLICT', 'x'), 'CONFLICT', 'CONFLICT'],
    ['a constraint of node:sqlite', Object.assign(new Error('x'), { errcode: 1555 }), 'CONFLICT', 'CONFLICT'],
    [
      'one of better-sqlite3',
      Object.assign(new Error('x'), { code: 'SQLITE_CONSTRAINT_UNIQUE' }),
      'CONFLICT',
      'CONFLICT',
    ],
    [
      'the text of an existing primary',
      new ConclaveError('FAILED', 'UNIQUE constraint failed: a.b'),
      'CONFLICT',
      'CONFLICT',
    ],
    ['anything else', new Error('x'), 'INTERNAL', 'INTERNAL'],
  ]
  for (const [name, thrown, reason, code] of CASES) {
    test(`${name}: ${reason}, also over the wire`, async (t) => {
      assert.ok((WRITE_ERRORS as readonly string[]).includes(reason))
      assert.equal(writeErrorOf(thrown), reason)
      assert.equal(asWriteError(thrown).code, code)
      const bus = await startBus(t)
      serveWrites(bus, { writes: { fail: () => Promise.reject(thrown as Error) } })
      const proxy = dbproxy({ client: newClient(t), primary: bus.rpcAddr, read: undefined, timeoutMs: 60 })
      await assert.rejects(proxy.write('fail', {}, { timeoutMs: 60_000 }), (error) => {
        assert.ok(ConclaveError.is(error))
        assert.deepEqual([error.reason, error.code, writeErrorOf(error)], [reason, code, reason])
        return error.key !== undefined
      })
    })
  }
})

test('one write after another, 256 wait; a request without its fields is INVALID_PARAMS', async (t) => {
  const bus = await startBus(t)
  let running = 0
  let most = 0
  let go: () => void = () => {}
  const gate = new Promise<void>((resolve) => (go = resolve))
  const slow = async (): Promise<number> => {
    most = Math.max(most, ++running)
    await gate
    return running--
  }
  serveWrites(bus, { writes: { slow } }, { maxQueued: 10 })
  const client = newClient(t)
  const meta = (id: number) => ({ source_instance_id: 's', request_id: String(id), timestamp: '' })
  const calls = Array.from({ length: 11 }, (_, id) =>
    client.call(bus.address, 'db.write', { meta: meta(id), method: 'slow', params: {} }),
  )
  await assert.rejects(calls[10] ?? Promise.resolve(), { reason: 'UNREACHABLE', outcome: 'not-committed' })
  go()
  assert.equal((await Promise.allSettled(calls)).filter(({ status }) => status === 'fulfilled').length, 10)
  assert.equal(most, 1)
  for (const wrong of [undefined, 1, {}, { meta: {}, method: 'slow' }, { meta: meta(1) }]) {
    await assert.rejects(client.call(bus.address, 'db.write', wrong), { reason: 'INVALID_PARAMS' })
  }
})

test('SQL only where it is allowed', async (t) => {
  const bus = await startBus(t)
  const ran: unknown[] = []
  const db = {
    run: async (sql: string, params?: readonly unknown[]) => ({ changes: ran.push([sql, params]) }),
    batch: async (statements: readonly unknown[]) => statements.length,
  }
  serveWrites(bus, db as never, { sql: true })
  const proxy = proxyOf(t, bus)
  assert.deepEqual(await proxy.run('insert into a values (?)', [1]), { changes: 1 })
  assert.equal(await proxy.batch([['delete from a'], ['delete from b where c = ?', [1]]]), 2)
  assert.deepEqual(ran, [['insert into a values (?)', [1]]])
})

test('an unreachable primary: tried again while nothing ran, then told', async (t) => {
  let calls = 0
  const client = {
    call: async () => {
      calls++
      throw new ConclaveError('DISCONNECTED', 'nobody', { outcome: 'not-committed' })
    },
  }
  const proxy = dbproxy({ client, primary: 'ipc:///nowhere.rpc', read: undefined })
  await assert.rejects(proxy.write('add'), { reason: 'UNREACHABLE', outcome: 'not-committed' })
  assert.ok(calls >= 3)
  const controller = new AbortController()
  controller.abort()
  await assert.rejects(
    dbproxy({ client: newClient(t), primary: 'ipc:///nowhere.rpc', read: undefined }).write(
      'a',
      {},
      { signal: controller.signal },
    ),
    { code: 'ABORTED' },
  )
})

test('member.db: each request id once, also at the next bus', async (t) => {
  const member = await join(workspace(t), {
    database: {
      migrations: ['create table note(id integer primary key, text text not null unique) strict'],
      writes: {
        add: (tx, { text }: { text: string }) =>
          Number(tx.prepare('insert into note(text) values (?)').run(text).lastInsertRowid),
      },
    },
  })
  defer(t, () => member.close())
  const client = newClient(t)
  for (const instanceId of ['one', 'two']) {
    const bus = await startBus(t, { instanceId })
    serveWrites(bus, member.db, { methods: ['add'], durable: true, sql: true })
    const proxy = dbproxy({ client, primary: bus.address, instanceId: 'second', read: member.db.read })
    assert.equal(await proxy.write('add', { text: 'hello' }, { requestId: 'r1' }), 1)
    await assert.rejects(proxy.write('add', { text: 'hello' }), { reason: 'CONFLICT', outcome: 'not-committed' })
    await proxy.run('update note set text = ? where id = ?', ['hello', 1])
    const rows = proxy.read.prepare<{ text: string }>('select text from note').all()
    assert.deepEqual(
      rows.map(({ text }) => text),
      ['hello'],
    )
  }
})

test('a new primary that shares no memory with the old is not asked to do it again', async (t) => {
  const [one, two] = [await startBus(t, { instanceId: 'one' }), await startBus(t, { instanceId: 'two' })]
  let rows = 0
  const client = newClient(t)
  for (const durable of [false, true]) {
    const services = [one, two].map((bus) => serveWrites(bus, { writes: { add: async () => ++rows } }, { durable }))
    let now = one
    const losing = {
      call: async (...args: Parameters<typeof client.call>) => {
        const result = await client.call(...args)
        if (args[1] !== 'db.write' || now === two) return result
        now = two
        throw new ConclaveError('DISCONNECTED', 'lost', { outcome: 'unknown' })
      },
    }
    const proxy = dbproxy({ client: losing, primary: () => now.address, read: undefined })
    if (durable) await proxy.write('add')
    else await assert.rejects(proxy.write('add'), { reason: 'UNREACHABLE', outcome: 'unknown' })
    for (const service of services) service[Symbol.dispose]()
  }
  assert.equal(rows, 3) // the database of the second round would have done it once
})

test('what is remembered is bounded by count, bytes and time; what runs is never forgotten', async () => {
  const limits = { maxCount: 3, maxBytes: 1000, ttlMs: 60_000 }
  let runs = 0
  const remembered = new Remembered(limits)
  const once = (id: string, result: unknown = 1): Promise<unknown> =>
    remembered.once(id, 'x', async () => {
      runs++
      return result
    })
  let finish: (value: unknown) => void = () => {}
  const running = remembered.once('running', 'x', () => new Promise((resolve) => (finish = resolve)))
  for (const id of ['a', 'b', 'c', 'd', 'e']) await once(id)
  await until(() => remembered.size <= 3, 'the oldest to be forgotten')
  await once('e')
  assert.equal(runs, 5)
  await once('a')
  assert.equal(runs, 6)
  await once('long', 'y'.repeat(2000))
  await once('after')
  assert.ok(remembered.size <= 2)
  const again = remembered.once('running', 'x', () => Promise.resolve('twice'))
  finish('once')
  assert.deepEqual([await running, await again], ['once', 'once'])

  const brief = new Remembered({ ...limits, ttlMs: 0 })
  await brief.once('a', 'x', async () => 1)
  await until(async () => (await brief.once('a', 'x', async () => 2)) === 2, 'it to be forgotten')
  // What did not happen may be asked again.
  const retry = new Remembered(limits)
  const overloaded = async (): Promise<unknown> => {
    throw new ConclaveError('OVERLOADED', 'x', { outcome: 'not-committed' })
  }
  await assert.rejects(retry.once('a', 'x', overloaded), { code: 'OVERLOADED' })
  assert.equal(await retry.once('a', 'x', async () => 'now'), 'now')
})
