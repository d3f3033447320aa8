import assert from 'node:assert/strict'
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { acquireLock, addressOf, readLock, releaseLock, type Acquired, type BusLock } from 'conclave/zeromq'
import { ConclaveError } from '../../../src/errors/index.ts'
import { decodeLockInfo, encodeLockInfo } from '../../../src/dialects/zeromq/lock-info.ts'
import { defer, spawnProgram, temporaryDirectory, type Scope } from '../../support/index.ts'
import { PROGRAMS, vector } from './support.ts'

const EXAMPLE = vector<{ lock_file_example: string }>('pando-ports').lock_file_example

function held(t: Scope, acquired: Acquired): BusLock {
  assert.ok(acquired.isPrimary)
  const { lock } = acquired
  defer(t, () => lock.close())
  return lock
}

describe('the content of a lock file', () => {
  test('is that of existing programs, to the byte', () => {
    const info = decodeLockInfo(EXAMPLE)
    assert.ok(info)
    assert.deepEqual(info, {
      instanceId: 'A',
      pid: 12_669,
      pubPort: 45_600,
      rpcPort: 45_601,
      startedAt: '2026-11-21T03:28:20.991516956Z',
    })
    assert.equal(encodeLockInfo(info), EXAMPLE)
    const odd = encodeLockInfo({ ...info, instanceId: '<a&b>' })
    assert.equal(odd, EXAMPLE.replace('"A"', String.raw`"\u003ca\u0026b\u003e"`))
    assert.equal(decodeLockInfo(odd)?.instanceId, '<a&b>')
    assert.deepEqual(addressOf(info), { pub: 'tcp://127.0.0.1:45600', rpc: 'tcp://127.0.0.1:45601' })
  })

  test('holds where a bus is that is not on TCP', () => {
    const address = { pub: 'ipc:///a.pub', rpc: 'ipc:///a.rpc', serverKey: 'k'.repeat(40) }
    const info = { instanceId: 'A', pid: 1, pubPort: 0, rpcPort: 0, startedAt: '2026-11-21T03:28:20Z', address }
    assert.deepEqual(decodeLockInfo(encodeLockInfo(info)), info)
    assert.deepEqual(addressOf(info), address)
  })

  test('is nothing when it is half-written or something else', () => {
    for (const text of [
      '',
      EXAMPLE.slice(0, 60),
      'null',
      '[]',
      '{}',
      EXAMPLE.replace('12669', '"x"'),
      EXAMPLE.replace('45600', '70000'),
    ]) {
      assert.equal(decodeLockInfo(text), undefined, text)
    }
  })
})

test('the first is primary and the others hear who is; released, the file stays and the next one has it', async (t) => {
  const folder = temporaryDirectory(t)
  const path = join(folder, '.pando', 'ipc.lock')
  const lock = held(t, await acquireLock(folder, 'A', 40_000, 40_001))
  assert.equal(lock.path, path)
  assert.ok(lock.stillOurs())
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(statSync(join(path, '..')).mode & 0o777, 0o700)
  assert.equal(readFileSync(path, 'utf8'), encodeLockInfo(lock.info))
  const second = await acquireLock(folder, 'B', 40_000, 40_001)
  assert.deepEqual([second.isPrimary, second.info, second.lock], [false, readLock(folder), undefined])
  assert.equal(second.info.instanceId, 'A')
  await assert.rejects(acquireLock(folder, 'B', 1, 2, { must: true }), (error) =>
    ConclaveError.is(error, 'PRIMARY_EXISTS'),
  )

  const { ino } = statSync(path)
  releaseLock(lock)
  releaseLock(lock)
  assert.equal(lock.stillOurs(), false)
  assert.equal(statSync(path).ino, ino)
  // Released, it names nobody: the next one has it for a moment before it says so.
  assert.equal(readLock(folder), undefined)
  assert.equal(decodeLockInfo(readFileSync(path, 'utf8'))?.pid, 0)
  const third = held(t, await acquireLock(folder, 'a much longer name', 1, 2))
  assert.equal(readFileSync(path, 'utf8'), encodeLockInfo(third.info))
  third.close()
  held(t, await acquireLock(folder, 'C', 1, 2))
  assert.equal(readLock(folder)?.instanceId, 'C')
  assert.deepEqual(readdirSync(join(folder, '.pando')), ['ipc.lock'])
})

test('another folder and file name are another lock', async (t) => {
  const folder = temporaryDirectory(t)
  held(t, await acquireLock(folder, 'A', 1, 2))
  const other = held(t, await acquireLock(folder, 'B', 1, 2, { folder: '.mine', file: 'bus.lock' }))
  assert.equal(other.path, join(folder, '.mine', 'bus.lock'))
  assert.equal(readLock(folder, { folder: '.mine', file: 'bus.lock' })?.instanceId, 'B')
  for (const file of ['', 'a/b']) {
    await assert.rejects(acquireLock(folder, 'A', 1, 2, { file }), (error) => ConclaveError.is(error, 'INVALID_OPTION'))
  }
})

test('a file that was given its name and not yet relieved of the other one is no obstacle', async (t) => {
  const folder = temporaryDirectory(t)
  held(t, await acquireLock(folder, 'A', 1, 2)).close()
  const path = join(folder, '.pando', 'ipc.lock')
  linkSync(path, `${path}.0123456789ab.tmp`) // as one that died in between leaves it
  held(t, await acquireLock(folder, 'B', 1, 2))
  assert.ok(!existsSync(`${path}.0123456789ab.tmp`))
})

test('a second name by somebody else, and a longer content than a lock file has, are told', async (t) => {
  const folder = temporaryDirectory(t)
  mkdirSync(join(folder, '.pando'), { mode: 0o700 })
  const path = join(folder, '.pando', 'ipc.lock')
  writeFileSync(path, 'x'.repeat(5000), { mode: 0o600 })
  assert.throws(
    () => readLock(folder),
    (error) => ConclaveError.is(error, 'TOO_LARGE'),
  )
  const lock = held(t, await acquireLock(folder, 'A', 1, 2))
  assert.equal(readFileSync(path, 'utf8'), encodeLockInfo(lock.info))
  lock.close()
  linkSync(path, join(folder, 'other'))
  await assert.rejects(acquireLock(folder, 'A', 1, 2, { settleMs: 20 }), (error) =>
    ConclaveError.is(error, 'UNSAFE_WORKSPACE', 'PRIMARY_STARTING'),
  )
})

test('a killed primary gives its lock up, and what it left is not taken for a primary', async (t) => {
  const folder = temporaryDirectory(t)
  const first = spawnProgram(t, join(PROGRAMS, 'locker.ts'), [folder, 'first'])
  await first.ready()
  first.send({ do: 'acquire' })
  assert.equal((await first.next((message) => 'isPrimary' in message))['isPrimary'], true)
  await first.kill('SIGKILL')
  assert.equal(readLock(folder)?.instanceId, 'first')
  const { isPrimary, info } = await acquireLock(folder, 'second', 1, 2)
  assert.ok(isPrimary)
  assert.equal(info.instanceId, 'second')
})

test('of many that start at once one is primary, and all others hear of it', async (t) => {
  const folder = temporaryDirectory(t)
  const all = await Promise.all(Array.from({ length: 20 }, (_, index) => acquireLock(folder, `n${index}`, 1, 2)))
  const primaries = all.filter(({ isPrimary }) => isPrimary)
  assert.equal(primaries.length, 1)
  assert.deepEqual(new Set(all.map(({ info }) => info.instanceId)).size, 1)
  for (const { lock } of primaries) lock?.close()
})
