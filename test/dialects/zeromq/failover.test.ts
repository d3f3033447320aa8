import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { acquireLock, Bus, watchPrimary, type Client, type LossReason, type Promotion } from 'conclave/zeromq'
import { defer, runtimeDirectory, spawnProgram, temporaryDirectory, until, workspace } from '../../support/index.ts'
import type { Scope } from '../../support/index.ts'
import { newClient, PROGRAMS } from './support.ts'

interface Primary {
  readonly bus: Bus
  readonly end: () => Promise<void>
}

async function primary(t: Scope, workdir: string, heartbeatMs = 5000): Promise<Primary> {
  const bus = new Bus({ instanceId: 'first', heartbeatMs })
  defer(t, () => bus.shutdown())
  await bus.start()
  const { lock } = await acquireLock(workdir, 'first', 0, 0, { address: bus.address })
  assert.ok(lock)
  defer(t, () => lock.close())
  return {
    bus,
    end: async () => {
      await bus.shutdown()
      lock.close()
    },
  }
}

test('a primary that shuts down is followed, the lock is kept, and the next one is found', async (t) => {
  runtimeDirectory(t)
  const workdir = temporaryDirectory(t)
  const first = await primary(t, workdir)
  const client = newClient(t)
  // One that ends before it is heard is `absent`.
  let subscribed = 0
  const subscribe = client.subscribe.bind(client)
  client.subscribe = async (...given) => {
    const subscription = await subscribe(...given)
    subscribed++
    return subscription
  }
  const lost: LossReason[] = []
  const found: string[] = []
  const promotions: Promotion[] = []
  const watch = (instanceId: string) =>
    watchPrimary({
      client,
      workdir,
      instanceId,
      onPromoted: (promotion) => void promotions.push(promotion),
      onPrimary: (info) => found.push(info.instanceId),
      onLost: (reason) => lost.push(reason),
    })
  const [one, two] = [watch('one'), watch('two')]
  await until(() => found.length === 2 && subscribed === 2, 'both to find the primary and hear it')
  await first.end()
  const { info, lock } = (await Promise.race([one.promoted, two.promoted])) ?? {}
  assert.ok(info && lock)
  assert.ok(lock.stillOurs())
  assert.equal(promotions.length, 1)
  assert.ok(lost.includes('shutdown') || lost.includes('disconnected'))
  await one.close()
  await two.close()
  assert.equal((await (info.instanceId === 'one' ? two : one).promoted) ?? undefined, undefined)
  lock.close()
})

test('a primary that is killed is noticed by its connection', async (t) => {
  const workdir = workspace(t)
  const program = spawnProgram(t, join(PROGRAMS, 'primary.ts'), [workdir])
  await program.ready()
  const client = newClient(t)
  const lost: LossReason[] = []
  const watcher = watchPrimary({
    client,
    workdir,
    instanceId: 'second',
    onPromoted: () => {},
    onPrimary: () => program.send({ do: 'nothing' }),
    onLost: (reason) => lost.push(reason),
  })
  await program.next((message) => message['did'] === 'nothing')
  await program.kill('SIGKILL')
  const promotion = await watcher.promoted
  assert.equal(promotion?.info.instanceId, 'second')
  promotion.lock.close()
  assert.ok(lost.length > 0)
})

test('silence counts only when asked to, and a promotion that fails gives the lock up', async (t) => {
  runtimeDirectory(t)
  const workdir = temporaryDirectory(t)
  const first = await primary(t, workdir, 0)
  const client = newClient(t)
  const lost: LossReason[] = []
  const errors: string[] = []
  let attempts = 0
  const watcher = watchPrimary({
    client,
    workdir,
    instanceId: 'second',
    timeoutMs: 30,
    onLost: (reason) => lost.push(reason),
    onError: (error) => errors.push(error.message),
    onPromoted: () => {
      if (++attempts === 1) throw new Error('on purpose')
    },
  })
  // The lock is held all the time: a silent primary is one that is busy.
  await until(() => lost.filter((reason) => reason === 'silent').length >= 2, 'the silence to be noticed twice')
  await first.end()
  const promotion = await watcher.promoted
  assert.equal(attempts, 2)
  assert.deepEqual(errors, ['on purpose'])
  promotion?.lock.close()
})

test('a heartbeat that is read after the time, and before the time counts, is one', async (t) => {
  const workdir = temporaryDirectory(t)
  const { lock } = await acquireLock(workdir, 'first', 1, 2)
  assert.ok(lock)
  defer(t, () => lock.close())
  const waiting: (() => void)[] = []
  async function* notices() {
    for (;;) {
      await new Promise<void>((resolve) => waiting.push(resolve))
      yield { topic: 'instance.heartbeat', instanceId: 'first' }
    }
  }
  const subscription = Object.assign(notices(), { close() {} })
  const client = { subscribe: async () => subscription } as unknown as Client
  const lost: LossReason[] = []
  const turns = async (): Promise<void> => {
    for (let n = 0; n < 5; n++) await new Promise((resolve) => setImmediate(resolve))
  }
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const watcher = watchPrimary({
    client,
    workdir,
    instanceId: 'second',
    timeoutMs: 100,
    onPromoted: () => {},
    onLost: (reason) => lost.push(reason),
  })
  while (waiting.length === 0) await turns()
  t.mock.timers.tick(100)
  waiting.shift()?.()
  await turns()
  assert.deepEqual(lost, [])
  t.mock.timers.tick(100)
  await turns()
  assert.deepEqual(lost, ['silent'])
  await watcher.close()
})
