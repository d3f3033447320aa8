import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Connection } from '../../src/sqlite/index.ts'
import { KeyStore } from '../../src/sqlite/key-store.ts'
import { Ledger } from '../../src/sqlite/ledger.ts'
import {
  KEY_KEPT_MS,
  MAX_BATCH,
  MAX_KEYS,
  MAX_KEY_LENGTH,
  MAX_MEMBER_BYTES,
  MAX_MEMBER_WRITES,
  MAX_OUTCOME_BYTES,
  MAX_PROFILE_BYTES,
  MAX_QUEUED_BYTES,
  MAX_QUEUED_WRITES,
  MAX_WRITERS,
  MAX_WRITES_SENT,
  WRITER_KEPT_MS,
} from '../../src/sqlite/limits.ts'
import { readProfile, profilePath, writeProfile } from '../../src/sqlite/profile.ts'
import { METHOD } from '../../src/sqlite/protocol.ts'
import { FairQueue } from '../../src/sqlite/queue.ts'
import { raiseTerm } from '../../src/sqlite/schema.ts'
import type { Scope } from '../support/index.ts'
import { ask, code, connection, freshWorkspace, now, serve } from './support.ts'

/* The limits of docs/limits.md that no other test of this room hits at their default. */

const INSERT = 'INSERT INTO note(text) VALUES (?)'

async function prepared(t: Scope): Promise<Connection> {
  const made = await connection(t)
  raiseTerm(made, { term: 1, lock: 'x' })
  return made
}

describe('queues of the primary', () => {
  test('MAX_MEMBER_WRITES and MAX_QUEUED_WRITES', () => {
    const queue = new FairQueue<{ line: string; bytes: number; count: number }>()
    for (let line = 0; queue.count < MAX_QUEUED_WRITES; line++) {
      for (let n = 0; n < MAX_MEMBER_WRITES; n++) queue.add({ line: `m${line}`, bytes: 0, count: 1 })
      assert.throws(() => queue.add({ line: `m${line}`, bytes: 0, count: 1 }), code('OVERLOADED', 'not-committed'))
    }
    assert.throws(() => queue.add({ line: 'another', bytes: 0, count: 1 }), code('OVERLOADED', 'not-committed'))
  })

  test('MAX_MEMBER_BYTES and MAX_QUEUED_BYTES', () => {
    const queue = new FairQueue<{ line: string; bytes: number; count: number }>()
    for (let line = 0; queue.bytes < MAX_QUEUED_BYTES; line++) {
      queue.add({ line: `m${line}`, bytes: MAX_MEMBER_BYTES, count: 1 })
      assert.throws(() => queue.add({ line: `m${line}`, bytes: 1, count: 1 }), code('OVERLOADED', 'not-committed'))
    }
    assert.throws(() => queue.add({ line: 'another', bytes: 1, count: 1 }), code('OVERLOADED', 'not-committed'))
  })
})

describe('what one write may be', () => {
  test('MAX_BATCH, MAX_KEY_LENGTH: at the caller, and at the primary for whoever does not ask itself', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    const client = primary.client()
    const statements = Array.from({ length: MAX_BATCH }, () => ['SELECT 1'] as const)
    assert.equal((await client.batch(statements)).length, MAX_BATCH)
    await assert.rejects(client.batch([...statements, ['SELECT 1']]), code('TOO_LARGE'))
    const key = 'k'.repeat(MAX_KEY_LENGTH)
    await client.run(INSERT, ['a'], { key })
    await assert.rejects(client.run(INSERT, ['b'], { key: `${key}k` }), code('INVALID_OPTION'))
    const refused = async (s: unknown): Promise<void> => {
      const context = { member: 'm', deadline: now() + 10_000 }
      const answer = await ask(primary.coordinator, METHOD.WRITE, { w: 'w', a: 0, s }, context)
      assert.match(JSON.stringify(answer), /INVALID_PARAMS/)
    }
    await refused([{ n: 1, batch: [...statements, ['SELECT 1']] }])
    await refused([{ n: 1, sql: 'SELECT 1', key: `${key}k` }])
    await refused(Array.from({ length: MAX_WRITES_SENT + 1 }, (_, n) => ({ n: n + 1, sql: 'SELECT 1' })))
  })

  test('MAX_OUTCOME_BYTES: a writer that acknowledges nothing is refused, and goes on when it does', async (t) => {
    const ledger = new Ledger(await prepared(t), 0)
    ledger.open('w')
    for (let n = 1; n <= 4; n++) {
      assert.equal(ledger.isFull('w'), false)
      ledger.record('w', n, { ok: n }, MAX_OUTCOME_BYTES / 4)
    }
    assert.equal(ledger.isFull('w'), false)
    ledger.record('w', 5, { ok: 'one more' }, 1)
    assert.equal(ledger.isFull('w'), true)
    ledger.look('w', 6, 1)
    assert.equal(ledger.isFull('w'), false)
  })
})

describe('what is kept, and for how long', () => {
  test('KEY_KEPT_MS and MAX_KEYS: the oldest keys go first', async (t) => {
    const made = await prepared(t)
    const keys = new KeyStore(made)
    made.exec('BEGIN')
    keys.record('old', 'd', 1000, '{}')
    keys.record('young', 'd', 2000, '{}')
    keys.forget(1000 + KEY_KEPT_MS)
    assert.deepEqual([keys.has('old'), keys.has('young')], [true, true])
    keys.forget(1001 + KEY_KEPT_MS)
    assert.deepEqual([keys.has('old'), keys.has('young')], [false, true])
    for (let n = 1; n < MAX_KEYS; n++) keys.record(`k${n}`, 'd', 2000, '{}')
    keys.forget(2000)
    assert.ok(keys.has('young'))
    keys.record('one more', 'd', 2000, '{}')
    keys.forget(2000)
    assert.deepEqual([keys.has('young'), keys.has('k1'), keys.has('one more')], [false, true, true])
    made.exec('COMMIT')
  })

  test('WRITER_KEPT_MS and MAX_WRITERS: those that closed first go early, and none that is open', async (t) => {
    const made = await prepared(t)
    const ledger = new Ledger(made, 0)
    made.exec('BEGIN')
    for (let n = 0; n <= MAX_WRITERS; n++) ledger.open(`w${n}`)
    ledger.forget(1000)
    assert.equal(ledger.size, MAX_WRITERS + 1, 'nobody is closed')
    ledger.closed('w1', 500)
    ledger.closed('w0', 600)
    ledger.forget(1000)
    assert.deepEqual([ledger.size, ledger.look('w1', 1, 0).type], [MAX_WRITERS, 'expired'])
    ledger.forget(599 + WRITER_KEPT_MS)
    assert.equal(ledger.size, MAX_WRITERS)
    ledger.forget(600 + WRITER_KEPT_MS)
    assert.deepEqual([ledger.size, ledger.look('w0', 1, 0).type], [MAX_WRITERS - 1, 'expired'])
    made.exec('COMMIT')
  })

  test('MAX_PROFILE_BYTES: a longer profile is none', (t) => {
    const workspace = freshWorkspace(t)
    writeProfile(workspace, { file: 'data.db', durability: 'full', migrations: [], writes: [] } as never)
    assert.ok(readProfile(workspace) !== undefined)
    const { platform } = workspace
    const text = platform.readFile(profilePath(workspace), MAX_PROFILE_BYTES)!
    platform.replaceFile(profilePath(workspace), text.padEnd(MAX_PROFILE_BYTES))
    assert.ok(readProfile(workspace) !== undefined)
    platform.replaceFile(profilePath(workspace), text.padEnd(MAX_PROFILE_BYTES + 1))
    assert.equal(readProfile(workspace), undefined)
  })
})
