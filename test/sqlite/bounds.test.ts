import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { ConclaveError } from '../../src/errors/index.ts'
import { posixPlatform, type Platform } from '../../src/platform/index.ts'
import { Coordinator, LocalReader, WriteClient, type Driver } from '../../src/sqlite/index.ts'
import * as LIMITS from '../../src/sqlite/limits.ts'
import { METHOD } from '../../src/sqlite/protocol.ts'
import { WalWatch } from '../../src/sqlite/wal.ts'
import { WriterBusy, type Job, type Writer } from '../../src/sqlite/writer.ts'
import { defer, temporaryDirectory, within } from '../support/index.ts'
import { ask, code, foreign, freshWorkspace, now, serve } from './support.ts'

interface Asked {
  readonly method: string
  readonly params: Readonly<Record<string, unknown>>
  readonly deadline: number
}

function lost(cause: unknown): ConclaveError {
  return new ConclaveError('DISCONNECTED', 'lost', { cause, outcome: 'unknown' })
}

/** A client on a clock that stands at 0, whose primary answers everything with success. */
function client(): { readonly client: WriteClient; readonly asked: Asked[] } {
  const asked: Asked[] = []
  const send = async (method: string, params: unknown, { deadline }: { readonly deadline: number }) => {
    asked.push({ method, params: params as Asked['params'], deadline })
    if (method !== METHOD.WRITE) return { ok: method === METHOD.OUTCOME ? 'unknown' : null }
    return { ok: (params as { s: unknown[] }).s.map(() => ({ ok: [1, 0] })) }
  }
  return { client: new WriteClient({ send, now: () => 0 }), asked }
}

/** A writer that does nothing and notes what it was asked. */
function idleWriter(): Writer & { readonly groups: number[]; forgets: number } {
  return {
    groups: [],
    forgets: 0,
    async commit(jobs: readonly Job[]) {
      this.groups.push(jobs.length)
      return jobs.map(() => ({ ok: null }))
    },
    begin: async () => {},
    step: async () => ({ ok: null }),
    end: async () => undefined,
    begun: () => false,
    gone() {},
    look: async () => {},
    truncate: async () => {},
    async forget() {
      this.forgets++
    },
    close: async () => {},
  }
}

function coordinate(t: TestContext, writer: Writer): Coordinator {
  const path = join(temporaryDirectory(t, 'db'), 'data.db')
  return new Coordinator({ writer, path, now, onLost: (error) => assert.fail(error) })
}

test('patience: WRITE_TIMEOUT_MS, MAX_WRITE_TIMEOUT_MS, MAX_TRANSACTION_MS, OUTCOME_TIMEOUT_MS', async () => {
  const { client: c, asked } = client()
  await c.run('x')
  await c.run('x', [], { timeoutMs: Infinity })
  await c.transaction(async () => {})
  await c.transaction(async () => {}, { timeoutMs: 2 * LIMITS.MAX_TRANSACTION_MS })
  await c.outcome('mine')
  const deadlines = (method: string) => asked.filter((each) => each.method === method).map(({ deadline }) => deadline)
  assert.deepEqual(deadlines(METHOD.WRITE), [LIMITS.WRITE_TIMEOUT_MS, LIMITS.MAX_WRITE_TIMEOUT_MS])
  assert.deepEqual(deadlines(METHOD.OUTCOME), [LIMITS.OUTCOME_TIMEOUT_MS])
  const held = asked.filter(({ method }) => method === METHOD.BEGIN).map(({ params }) => params['ms'])
  assert.deepEqual(held, [LIMITS.TRANSACTION_MS, LIMITS.MAX_TRANSACTION_MS])
})

test('WRITES_SENT_BYTES and MAX_WRITES_SENT: writes made in one go leave in as many requests', async () => {
  const { client: c, asked } = client()
  await c.run('x')
  const sizes = () => asked.splice(0).map(({ params }) => (params['s'] as unknown[]).length)
  asked.length = 0
  await Promise.all(Array.from({ length: LIMITS.MAX_WRITES_SENT + 1 }, () => c.run('x')))
  assert.deepEqual(sizes(), [LIMITS.MAX_WRITES_SENT, 1])
  const half = 'x'.repeat(LIMITS.WRITES_SENT_BYTES / 2 - 100)
  await Promise.all([half, half, half, `${half}${half}${half}`].map((text) => c.run('x', [text])))
  assert.deepEqual(sizes(), [2, 1, 1])
})

test('MAX_REMEMBERED_OUTCOMES: the oldest that was given up is asked for again', async () => {
  let asked = 0
  const send = async (method: string) => {
    if (method === METHOD.WRITE) throw new Error('lost')
    if (method === METHOD.OUTCOME) asked++
    return { ok: method === METHOD.OUTCOME ? 'committed' : null }
  }
  const c = new WriteClient({
    now: () => 0,
    send: (method) => send(method).catch((cause: unknown) => Promise.reject(lost(cause))),
  })
  const keys: string[] = []
  for (let n = 0; n <= LIMITS.MAX_REMEMBERED_OUTCOMES; n++) {
    await c.run('x').catch((error: { key: string }) => keys.push(error.key))
  }
  const before = asked
  assert.equal(await c.outcome(keys.at(-1)!), 'committed')
  assert.equal(asked, before)
  assert.equal(await c.outcome(keys[0]!), 'committed')
  assert.equal(asked, before + 1)
})

test('GROUP_WRITES and GROUP_BYTES: so much commits together', async (t) => {
  const writer = idleWriter()
  const coordinator = coordinate(t, writer)
  const context = { member: 'm', deadline: Infinity }
  const writes = (from: number, count: number, sql: string) => ({
    ...{ w: 'w', a: 0 },
    s: Array.from({ length: count }, (_, at) => ({ n: from + at, sql })),
  })
  const each = LIMITS.MAX_WRITES_SENT
  const most = LIMITS.GROUP_WRITES / each
  const many = Array.from({ length: most + 1 }, (_, at) =>
    ask(coordinator, METHOD.WRITE, writes(at * each + 1, each, 'x'), context),
  )
  await Promise.all(many)
  assert.deepEqual(writer.groups.splice(0), [LIMITS.GROUP_WRITES, each])
  const long = 'x'.repeat(LIMITS.GROUP_BYTES / 2)
  const large = [long, long, `${long}${long}${long}`, 'x'].map((sql, at) =>
    ask(coordinator, METHOD.WRITE, writes(1000 + at, 1, sql), context),
  )
  await Promise.all(large)
  assert.deepEqual(writer.groups, [1, 1, 1, 1], 'each counts with its overhead; one alone may exceed it')
  coordinator.abandon(lost(undefined))
})

test('GROUP_MS: a group that has run so long takes no further write', async (t) => {
  let passed = 0
  const slow: Platform = Object.defineProperty(posixPlatform(), 'now', { value: () => now() + passed })
  const workspace = freshWorkspace(t, slow)
  const procedures = new Map([['slow', () => void (passed += LIMITS.GROUP_MS + 1)]])
  const { coordinator } = await serve(t, workspace, { procedures })
  await ask(coordinator, METHOD.OPEN, { w: 'w' }, { member: 'm', deadline: Infinity })
  const before = coordinator.counters.groups
  const s = [1, 2, 3, 4].map((n) => ({ n, call: 'slow' }))
  await ask(coordinator, METHOD.WRITE, { w: 'w', a: 0, s }, { member: 'm', deadline: Infinity })
  assert.equal(coordinator.counters.groups - before, 4)
})

test('GROUP_COMMITS and GROUP_LEAST_MS: a group runs as long as its COMMIT is worth', async (t) => {
  let passed = 0
  let commitMs = 0
  const slow: Platform = Object.defineProperty(posixPlatform(), 'now', { value: () => passed })
  const procedures = new Map([['slow', () => void (passed += LIMITS.GROUP_LEAST_MS)]])
  const holdsSeat = () => {
    passed += commitMs
    return true
  }
  const { coordinator } = await serve(t, freshWorkspace(t, slow), { procedures, holdsSeat })
  const context = { member: 'm', deadline: Infinity }
  await ask(coordinator, METHOD.OPEN, { w: 'w' }, context)
  let number = 0
  const groups = async (count: number): Promise<number> => {
    const before = coordinator.counters.groups
    const s = Array.from({ length: count }, () => ({ n: ++number, call: 'slow' }))
    await ask(coordinator, METHOD.WRITE, { w: 'w', a: 0, s }, context)
    return coordinator.counters.groups - before
  }
  assert.equal(await groups(6), 3, 'the second write begins in time, the third does not')
  commitMs = 10 * LIMITS.GROUP_LEAST_MS
  await groups(1)
  const most = Math.min(LIMITS.GROUP_MS, LIMITS.GROUP_COMMITS * commitMs) / LIMITS.GROUP_LEAST_MS
  assert.equal(await groups(Math.floor(most)), 1)
})

test('FORGET_MS: what is too old is forgotten this often', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const writer = idleWriter()
  const coordinator = coordinate(t, writer)
  t.mock.timers.tick(LIMITS.FORGET_MS - 1)
  assert.equal(writer.forgets, 0)
  t.mock.timers.tick(1)
  assert.equal(writer.forgets, 1)
  coordinator.abandon(lost(undefined))
})

test('A11: a commit that failed, and could not be stored because the file is locked, is answered when it is free', async (t) => {
  let attempts = 0
  const writer: Writer = {
    ...idleWriter(),
    commit: async (jobs) => {
      if (jobs[0]!.number > 0 && ++attempts === 1) throw new WriterBusy()
      return jobs.map(() => ({ ok: null }))
    },
    end: async () => {
      throw new WriterBusy()
    },
  }
  const coordinator = coordinate(t, writer)
  defer(t, () => coordinator.abandon(lost(undefined)))
  const context = { member: 'm', deadline: now() + 60_000 }
  const session = { w: 'w', x: 1 }
  await ask(coordinator, METHOD.BEGIN, { ...session, ms: 30_000 }, context)
  const commit = ask(coordinator, METHOD.COMMIT, { ...session, n: 1, a: 0 }, context)
  assert.deepEqual(await within(commit, 'an answer'), { ok: null })
  assert.equal(attempts, 2)
})

test('WAL_LOOK_MS and WAL_RETRY_MS: how often the WAL is looked at, and tried to be cut', async (t) => {
  const path = join(temporaryDirectory(t, 'db'), 'data.db')
  writeFileSync(`${path}-wal`, 'x')
  let at = 0
  let cuts = 0
  const watch = new WalWatch({
    path,
    now: () => at,
    truncate: async () => void cuts++,
    onReport: () => assert.fail('it is not that long'),
    limits: { truncateBytes: 1 },
  })
  const look = async (time: number): Promise<number[]> => {
    at = time
    await watch.look()
    return [watch.bytes, cuts]
  }
  assert.deepEqual(await look(0), [1, 1])
  writeFileSync(`${path}-wal`, 'xx')
  assert.deepEqual(await look(LIMITS.WAL_LOOK_MS - 1), [1, 1])
  assert.deepEqual(await look(LIMITS.WAL_LOOK_MS), [2, 1])
  assert.deepEqual(await look(LIMITS.WAL_RETRY_MS - 1), [2, 1])
  assert.deepEqual(await look(LIMITS.WAL_RETRY_MS + LIMITS.WAL_LOOK_MS), [2, 2])
})

test('OPEN_TIMEOUT_MS: a file that another program keeps locked is given up', async (t) => {
  let passed = 0
  let step = 0
  const hasty: Platform = Object.defineProperty(posixPlatform(), 'now', { value: () => now() + (passed += step) })
  const workspace = freshWorkspace(t, hasty)
  const first = await serve(t, workspace)
  const other = foreign(t, first.path)
  await first.close()
  other.exec('BEGIN IMMEDIATE')
  step = LIMITS.OPEN_TIMEOUT_MS / 10
  await assert.rejects(
    serve(t, workspace),
    code('FAILED', 'not-committed', /Another program keeps the database locked/),
  )
  assert.ok(passed > LIMITS.OPEN_TIMEOUT_MS)
  step = 0
  other.exec('ROLLBACK')
  await serve(t, workspace)
})

test('READ_BUSY_MS: a reader waits so long where SQLite needs the file alone', () => {
  let set = ''
  const open = (): never => ({ exec: (sql: string) => (set = sql), prepare: () => ({}), close() {} }) as never
  const driver: Driver = { name: 'none', version: '3.53.0', open }
  new LocalReader({ driver, path: '/nowhere' }).prepare('SELECT 1')
  assert.match(set, new RegExp(`busy_timeout = ${LIMITS.READ_BUSY_MS};`))
})
