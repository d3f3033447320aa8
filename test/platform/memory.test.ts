import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConclaveError } from '../../src/errors/index.ts'
import { memoryPlatform } from '../../src/platform/index.ts'
import { platformSuite } from './suite.ts'

platformSuite('memory', () => {
  const platform = memoryPlatform().process()
  return { platform, directory: '/tmp', dispose: () => platform.kill() }
})

test('processes of one machine share files and locks; a kill frees its locks only', () => {
  const machine = memoryPlatform()
  const [one, two] = [machine.process(), machine.process()]
  assert.notEqual(one.pid, two.pid)
  assert.equal(one.bootId, two.bootId)
  one.replaceFile('/tmp/a', 'text')
  assert.equal(two.readFile('/tmp/a', 10), 'text')
  const lock = one.tryLock('/tmp/lock')
  const other = two.tryLock('/tmp/other')
  assert.equal(two.tryLock('/tmp/lock'), undefined)
  const order: string[] = []
  one.onKill(() => order.push(two.tryLock('/tmp/lock') === undefined ? 'held' : 'free'))
  one.onKill(() => order.push('never'))()
  one.kill()
  one.kill()
  assert.deepEqual(order, ['free'], 'rule A9: the lock is free before anything else is told')
  assert.equal(one.alive, false)
  assert.equal(lock?.stillOurs(), false)
  assert.equal(other?.stillOurs(), true)
  for (const act of [
    () => one.tryLock('/tmp/x'),
    () => one.replaceFile('/tmp/x', ''),
    () => one.remove('/tmp/a'),
    () => one.stat('/tmp/a'),
  ]) {
    assert.throws(act, (error) => ConclaveError.is(error, 'CLOSED'))
  }
})

test('A1 the folder is moved or erased', () => {
  const machine = memoryPlatform()
  const process = machine.process()
  process.makeDirectory('/project', 0o700)
  const lock = process.tryLock('/project/lock')
  machine.move('/project', '/elsewhere')
  assert.equal(lock?.stillOurs(), false)
  assert.equal(process.readFile('/elsewhere/lock', 1), '')
  machine.move('/elsewhere', '/project')
  assert.equal(lock?.stillOurs(), true)
  machine.erase('/project')
  assert.equal(lock?.stillOurs(), false)
})

test("another user's lock and runtime directory", () => {
  const machine = memoryPlatform()
  const [one, two] = [machine.process({ uid: 1 }), machine.process({ uid: 2 })]
  one.tryLock('/tmp/lock')?.close()
  one.makeDirectory('/tmp/conclave-2', 0o700)
  for (const act of [() => two.tryLock('/tmp/lock'), () => two.runtimeDirectory()]) {
    assert.throws(act, (error) => ConclaveError.is(error, 'FOREIGN_WORKSPACE'))
  }
  assert.equal(one.runtimeDirectory(), '/tmp/conclave-1')
})
