import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Engine } from '../../../src/engine/engine.ts'
import type { LocalEngineOptions } from '../../../src/engine/local/engine-options.ts'
import { LocalEngine } from '../../../src/engine/local/local-engine.ts'
import type { PrimaryDatabase } from '../../../src/engine/local/primary-database.ts'
import type { ServedDatabase } from '../../../src/engine/local/served-database.ts'
import { openWorkspace } from '../../../src/election/index.ts'
import { memoryPlatform, type MemoryMachine, type MemoryProcess } from '../../../src/platform/index.ts'
import { memoryTransport, type Transport } from '../../../src/transport/index.ts'
import { benchTest, code, offer, until } from '../../../src/testing/conformance/engine.ts'
import { systemError, withFaults } from '../../election/support.ts'
import { memoryWorld, type MemoryWorld } from './world.ts'

const suite = benchTest(memoryWorld)
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

function machine(): MemoryMachine {
  const made = memoryPlatform()
  made.process().makeDirectory('/tmp/w', 0o755)
  return made
}

function member(process: MemoryProcess, more: Partial<LocalEngineOptions> = {}): LocalEngine {
  return new LocalEngine({
    workspace: openWorkspace(process, '/tmp/w', { create: true }),
    transport: memoryTransport(process),
    ...{
      name: 'member',
      pid: process.pid,
      version: 0,
      minVersion: 0,
      primary: 'may',
      waitMs: 0,
      ref: true,
      limits: {},
    },
    ...more,
  })
}

/** Takes its time to open and to close; what else a database does is not asked of it. */
function slowDatabase(
  openMs: number,
  closing: () => Promise<void> = () => pause(50),
): { database: PrimaryDatabase; isOpen: () => boolean } {
  let open = false
  const served = {
    attach: () => {},
    receive: () => false,
    memberLeft: () => {},
    holds: () => true,
    retire: () => {},
    counters: () => ({}),
    close: async () => {
      await closing()
      open = false
    },
  }
  const serve = async (): Promise<ServedDatabase> => {
    open = true
    await pause(openMs)
    return served as unknown as ServedDatabase
  }
  return { database: { mayStand: () => true, serve }, isOpen: () => open }
}

// The first here: all members share one listener.
test('a member that never joins leaves no listener at the process', () => {
  const before = process.listenerCount('exit')
  member(machine().process())
  assert.equal(process.listenerCount('exit'), before)
})

suite('A1 a primary whose lock is lost while it drains answers nobody any more', async (b) => {
  const { machine: own } = b.world as MemoryWorld
  let answer: (value: string) => void = () => {}
  const slow = offer('slow', () => new Promise<string>((resolve) => (answer = resolve)))
  const ended: number[] = []
  const all: Engine[] = await b.members(2, (index) => ({
    offers: [slow],
    whilePrimary: () =>
      Promise.resolve(async () => {
        await all[1]!.closed
        await pause(100)
        ended.push(index)
      }),
  }))
  const heard = b.statuses(all[0]!)
  const call = b.call(all[1]!, 'slow').then(
    (value) => `answered ${String(value)}`,
    () => 'not answered',
  )
  await until(() => all[0]!.counters()['running'] === 1, 'the call to run')
  const closed = all[0]!.close({ timeoutMs: 60_000 })
  own.erase('/tmp/w/.conclave')
  assert.equal((await b.join()).role, 'primary')
  await all[1]!.closed
  await closed
  answer('late')
  assert.equal(await call, 'not answered')
  assert.deepEqual(ended, [0], 'what runs only while primary had its time')
  assert.ok(heard.some((status) => status.type === 'warning' && code('LOCK_LOST')(status.error)))
})

test('close() while it takes the seat: resolves when database and lock are free', async () => {
  const own = machine()
  const first = member(own.process())
  await first.join(Infinity, undefined)
  const { database, isOpen } = slowDatabase(30)
  const second = member(own.process(), { database })
  await second.join(Infinity, undefined)
  first.abort('over')
  await until(isOpen, 'the second to stand')
  await second.close({ timeoutMs: 20_000 })
  assert.equal(isOpen(), false)
  assert.ok(own.process().tryLock('/tmp/w/.conclave/lock'), 'the lock is free')
})

test('close() during a hand-over of its own: resolves when database and lock are free', async () => {
  const own = machine()
  let letGo: (() => void) | undefined
  const { database, isOpen } = slowDatabase(0, () => new Promise((resolve) => (letGo = resolve)))
  const older = member(own.process(), { database, version: 1 })
  await older.join(Infinity, undefined)
  let handedOver = false
  older.onStatus((status) => (handedOver ||= status.type === 'primary-lost'))
  const newer = member(own.process(), { database: slowDatabase(0).database, version: 2 })
  await newer.join(Infinity, undefined)
  await until(() => letGo !== undefined, 'its database to be closed')
  let over = false
  const closed = older.close({ timeoutMs: 20_000 }).then(() => (over = true))
  await pause(20)
  assert.deepEqual([handedOver, over], [false, false], 'its database is being closed')
  letGo!()
  await closed
  assert.equal(isOpen(), false)
  await newer.close({ timeoutMs: 20_000 })
})

test('close() while whilePrimary begins: resolves when database and lock are free', async () => {
  const own = machine()
  const { database, isOpen } = slowDatabase(0)
  const whilePrimary = async (): Promise<() => Promise<void>> => {
    await pause(30)
    return () => Promise.resolve()
  }
  const one = member(own.process(), { database, whilePrimary })
  const joined = assert.rejects(one.join(Infinity, undefined), code('ABORTED'))
  await until(() => one.role === 'primary', 'it to win')
  await one.close({ timeoutMs: 20_000 })
  assert.equal(isOpen(), false)
  assert.ok(own.process().tryLock('/tmp/w/.conclave/lock'), 'the lock is free')
  await joined
})

test('B6 the socket of a vanished path is closed, also when the fresh one could not be announced', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  const own = machine()
  const process = own.process()
  let full = false
  const platform = withFaults(process, {
    replaceFile(path, content) {
      if (full) throw systemError('ENOSPC')
      process.replaceFile(path, content)
    },
  })
  const inner = memoryTransport(process)
  let listening = 0
  const transport: Transport = {
    connect: (path) => inner.connect(path),
    listen(path, options) {
      const listener = inner.listen(path, options)
      listening++
      return {
        path,
        ref() {},
        unref() {},
        close() {
          listening--
          listener.close()
        },
      }
    },
  }
  const one = member(process, { workspace: openWorkspace(platform, '/tmp/w', { create: true }), transport })
  await one.join(Infinity, undefined)
  const endpoint = (): string => JSON.parse(process.readFile('/tmp/w/.conclave/primary.json', 9999)!).endpoint.slice(7)
  own.erase(endpoint())
  full = true
  t.mock.timers.tick(10_000)
  assert.equal(listening, 1)
  full = false
  t.mock.timers.tick(10_000)
  const other = member(own.process())
  await other.join(Infinity, undefined)
  assert.equal(other.role, 'secondary')
  await other.close({ timeoutMs: 20_000 })
  await one.close({ timeoutMs: 20_000 })
  assert.equal(listening, 0)
})

test('a member that lets go of the process while it begins leaves no listener there', async () => {
  const own = machine()
  const before = process.listenerCount('beforeExit')
  const one: LocalEngine = member(own.process(), {
    whilePrimary: () => {
      one.unref()
      return Promise.resolve(() => Promise.resolve())
    },
  })
  await one.join(Infinity, undefined)
  assert.equal(process.listenerCount('beforeExit'), before + 1)
  await one.close({ timeoutMs: 20_000 })
  assert.equal(process.listenerCount('beforeExit'), before)
})
