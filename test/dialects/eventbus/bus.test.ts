import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { discoverBuses, listenBus, queryStatus, stopBus } from '../../../src/dialects/eventbus/index.ts'
import { MAX_EVENT_TYPES, QUEUED_ANSWERS } from '../../../src/dialects/eventbus/limits.ts'
import { openLog } from '../../../src/dialects/eventbus/log.ts'
import { posixPlatform } from '../../../src/platform/index.ts'
import { unixTransport } from '../../../src/transport/index.ts'
import { temporaryDirectory, until, within } from '../../support/index.ts'
import { rawClient, rawServer, socketIn } from './support.ts'

const hello = (key: string, more: object = {}): object => ({
  type: 'hello',
  pid: process.pid,
  event_key: key,
  event_types: ['a'],
  version: 'v1',
  subscription_id: key,
  ...more,
})

describe('EventBus', () => {
  test('one bus at a socket; the second is refused, the lock file stays when it ends', async (t) => {
    const socket = socketIn(t)
    const bus = await listenBus({ socket })
    await assert.rejects(listenBus({ socket, lockWaitMs: 0 }), { code: 'SOCKET_IN_USE' })
    assert.equal(statSync(socket).mode & 0o777, 0o600)
    const pidFile = join(dirname(socket), 'bus.pid')
    assert.match(readFileSync(pidFile, 'utf8'), new RegExp(`^${process.pid}\n\\d{4}-\\d\\d-\\d\\dT[\\d:.]+Z$`))
    await bus.close()
    assert.deepEqual(
      [existsSync(socket), existsSync(pidFile), existsSync(join(dirname(socket), 'bus.alive.lock'))],
      [false, false, true],
    )
  })

  test('a socket file whose owner is gone is taken over; one who listens without our lock keeps it', async (t) => {
    const socket = socketIn(t)
    const existing = await rawServer(t, socket)
    await assert.rejects(listenBus({ socket }), { code: 'SOCKET_IN_USE' })
    assert.equal(existsSync(socket), true)
    await existing.close()
    // Bound, and its owner gone: what SIGKILL leaves behind.
    const stale = unixTransport().listen(`${socket}.tmp`, { backlog: 1, onConnection() {}, onError() {} })
    renameSync(`${socket}.tmp`, socket)
    stale.close()
    assert.equal(existsSync(socket), true)
    await using bus = await listenBus({ socket })
    assert.equal((await queryStatus(bus.socket)).activeConns, 0)
  })

  test('a directory that is a link, or open to others, is refused', async (t) => {
    const directory = temporaryDirectory(t)
    mkdirSync(join(directory, 'open'), { mode: 0o700 })
    chmodSync(join(directory, 'open'), 0o777)
    symlinkSync('/tmp', join(directory, 'link'))
    for (const name of ['open', 'link']) {
      await assert.rejects(listenBus({ socket: join(directory, name, 'bus.sock') }), { code: 'UNSAFE_WORKSPACE' }, name)
    }
    const platform = new Proxy(posixPlatform(), {
      get: (target, name): unknown => {
        const value: unknown = Reflect.get(target, name, target)
        if (name === 'isOurUid') return () => false
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    await assert.rejects(listenBus({ socket: join(directory, 'bus.sock') }, { platform }), {
      code: 'FOREIGN_WORKSPACE',
    })
    await assert.rejects(listenBus({ socket: 'bus.sock' }), { code: 'INVALID_OPTION' })
    await assert.rejects(listenBus({ socket: join(directory, 'x'.repeat(120), 'bus.sock') }), { code: 'PATH_TOO_LONG' })
  })

  test('the first message must come in time, and be one of three', async (t) => {
    await using hasty = await listenBus({ socket: socketIn(t), firstMessageTimeoutMs: 30 })
    const silent = await rawClient(t, hasty.socket)
    await silent.end()
    await using bus = await listenBus({ socket: socketIn(t) })
    const garbage = await rawClient(t, bus.socket)
    garbage.send('')
    await garbage.end()
    assert.equal(bus.counters.strangers, 1)
  })

  test('too many strangers: the oldest is closed', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t), maxStrangers: 2 })
    const peers = [await rawClient(t, bus.socket), await rawClient(t, bus.socket), await rawClient(t, bus.socket)]
    await peers[0]?.end()
    assert.deepEqual([peers[1]?.ended, peers[2]?.ended], [false, false])
  })

  test('after hello bad lines are skipped, a second hello too; a frame that is too long closes', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t), maxFrameBytes: 300 })
    const peer = await rawClient(t, bus.socket)
    peer.send(hello('k'))
    await peer.next()
    peer.send('', '{', '{"type":"zzz"}', hello('other'), { type: 'pre_shutdown_check', event_key: 'ignored' })
    assert.deepEqual(await peer.json(), { type: 'pre_shutdown_ack', last_for_key: true })
    peer.send('x'.repeat(400))
    await peer.end()
  })

  test('a status that no frame could hold tells of the consumers that fit, and how many there are', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t) })
    for (const key of ['x'.repeat(600_000), '<'.repeat(250_000), 'y'.repeat(600_000), 'z']) {
      const peer = await rawClient(t, bus.socket)
      peer.send(hello(key, { subscription_id: undefined }))
      await peer.next()
    }
    const { activeConns, consumers } = await queryStatus(bus.socket)
    assert.deepEqual([activeConns, consumers.map(({ eventKey }) => eventKey[0])], [4, ['z']])
    // Each of the long ones stands in it twice, as its subscription too.
    assert.equal(bus.status().consumers.length, 4)
  })

  test('an empty subscription id, and none, are the key', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t) })
    const firsts: unknown[] = []
    for (const [key, id] of [
      ['a', ''],
      ['b', ''],
      ['b', undefined],
    ]) {
      const peer = await rawClient(t, bus.socket)
      peer.send(hello(key!, { subscription_id: id }))
      firsts.push((await peer.json())['first_for_key'])
    }
    assert.deepEqual(firsts, [true, true, false])
    const { consumers } = await queryStatus(bus.socket)
    assert.deepEqual(
      consumers.map(({ subscriptionId }) => subscriptionId),
      ['a', 'b', 'b'],
    )
  })

  test('limits: consumers, waiting, event types', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t), lingerMs: 1 })
    const types = await rawClient(t, bus.socket)
    types.send(hello('t', { event_types: Array.from({ length: MAX_EVENT_TYPES + 1 }, () => 'a') }))
    assert.match(String((await types.json())['reject_reason']), /event types/)
    await bus.close()

    await using next = await listenBus({ socket: socketIn(t), maxConsumers: 1, helloWaitMs: 60_000 })
    const one = await rawClient(t, next.socket)
    one.send(hello('a'))
    await one.next()
    const two = await rawClient(t, next.socket)
    two.send(hello('b'))
    assert.match(String((await two.json())['reject_reason']), /1 consumers/)

    await using third = await listenBus({ socket: socketIn(t), maxWaiting: 1, helloWaitMs: 60_000 })
    const holder = await rawClient(t, third.socket)
    holder.send(hello('a'))
    await holder.next()
    holder.send({ type: 'pre_shutdown_check' })
    await holder.next()
    const waiting = await rawClient(t, third.socket)
    waiting.send(hello('a'))
    await until(async () => (await queryStatus(third.socket)).activeConns === 1, 'the hello to wait')
    const more = await rawClient(t, third.socket)
    more.send(hello('a'))
    assert.match(String((await more.json())['reject_reason']), /too many/)
    assert.deepEqual(waiting.lines, [])
  })

  test('a consumer that asks and does not read its answers is closed', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t), writeTimeoutMs: 50 })
    const peer = await rawClient(t, bus.socket)
    peer.send(hello('k'))
    await peer.next()
    peer.socket.pause()
    for (let n = 0; n < 200; n++) bus.publish({ eventType: 'a', payload: 'x'.repeat(10_000) })
    peer.send({ type: 'pre_shutdown_check' })
    await until(() => bus.consumers === 0, 'it to be closed')
    assert.ok(QUEUED_ANSWERS > 1)
  })

  test('many unanswered questions close it at once', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t), writeTimeoutMs: 600_000 })
    const peer = await rawClient(t, bus.socket)
    peer.send(hello('k'))
    await peer.next()
    peer.socket.pause()
    for (let n = 0; n < 200; n++) bus.publish({ eventType: 'a', payload: 'x'.repeat(10_000) })
    for (let n = 0; n <= QUEUED_ANSWERS; n++) peer.send({ type: 'pre_shutdown_check' })
    await until(() => bus.consumers === 0, 'it to be closed')
  })

  test('events go by exact type, once for each id, and once more when the id is forgotten', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t), dedupSize: 1 })
    const peer = await rawClient(t, bus.socket)
    peer.send(hello('k'))
    await peer.next()
    const publish = (eventType: string, eventId?: string): number =>
      bus.publish({ eventType, eventId, payload: null }).consumers
    assert.deepEqual(
      [publish('a', '1'), publish('a', '1'), publish('a.b', '2'), publish('a', '1'), publish('a'), publish('a')],
      [1, 0, 0, 1, 1, 1],
    )
    assert.equal(bus.counters.duplicates, 1)
  })

  test('ends: idle, a source that ends or fails, abort, a lost lock', async (t) => {
    assert.deepEqual(await (await listenBus({ socket: socketIn(t), idleExitMs: 1, lastCallMs: 1 })).closed, {
      type: 'idle',
    })
    const ending = await listenBus({ socket: socketIn(t) })
    ending.attach('s', async (source) => void source.publish({ eventType: 'a', payload: 1 }))
    assert.deepEqual(await ending.closed, { type: 'source-ended' })
    const failing = await listenBus({ socket: socketIn(t) })
    failing.attach('s', () => Promise.reject(new Error('down')))
    const end = await failing.closed
    assert.equal(end.type === 'failed' && end.error.message, 'down')
    const stop = new AbortController()
    const aborted = await listenBus({ socket: socketIn(t), signal: stop.signal })
    stop.abort()
    assert.deepEqual(await aborted.closed, { type: 'aborted' })
    const losing = await listenBus({ socket: socketIn(t) })
    unlinkSync(join(dirname(losing.socket), 'bus.alive.lock'))
    assert.deepEqual(await within(losing.closed, 'the lost lock to be seen'), { type: 'lock-lost' })
    assert.throws(() => losing.publish({ eventType: 'a', payload: 1 }), { code: 'CLOSED' })
  })

  test('a status query does not put off the idle exit, a consumer does', async (t) => {
    const bus = await listenBus({ socket: socketIn(t), idleExitMs: 200, lastCallMs: 1 })
    const peer = await rawClient(t, bus.socket)
    peer.send(hello('k'))
    await peer.next()
    await new Promise((resolve) => setTimeout(resolve, 300))
    assert.equal(bus.consumers, 1)
    peer.destroy()
    const asking = setInterval(() => void queryStatus(bus.socket).catch(() => {}), 20)
    assert.equal((await within(bus.closed, 'the idle exit')).type, 'idle')
    clearInterval(asking)
  })

  test('what is queued still goes when the bus closes', async (t) => {
    const bus = await listenBus({ socket: socketIn(t), queueSize: 1000, drainMs: 60_000 })
    const peer = await rawClient(t, bus.socket)
    peer.send(hello('k'))
    await peer.next()
    for (let n = 0; n < 500; n++) bus.publish({ eventType: 'a', payload: 'x'.repeat(2000) })
    await bus.close()
    await peer.end()
    assert.equal(peer.lines.length, 500)
  })

  test('stop, and what is found running', async (t) => {
    const events = temporaryDirectory(t)
    const bus = await listenBus({ socket: join(events, 'app_1', 'bus.sock') })
    mkdirSync(join(events, 'dead'))
    writeFileSync(join(events, 'dead', 'bus.alive.lock'), '')
    writeFileSync(join(events, 'file'), '')
    assert.deepEqual(discoverBuses(events), [
      { app: 'app_1', socket: bus.socket, pid: process.pid, startedAt: bus.startedAt.toISOString() },
    ])
    await stopBus(bus.socket)
    assert.deepEqual(await bus.closed, { type: 'shutdown', pid: process.pid })
    assert.deepEqual(discoverBuses(events), [])
    await assert.rejects(queryStatus(bus.socket), { code: 'DISCONNECTED' })
  })

  test('a bus that follows a killed one lets its consumers come back before it says who is first or last', async (t) => {
    const socket = socketIn(t)
    writeFileSync(join(dirname(socket), 'bus.pid'), '1\n2026-01-01T00:00:00Z')
    // Its time passes when both are there, however slow the machine is.
    t.mock.timers.enable({ apis: ['setTimeout'] })
    await using bus = await listenBus({ socket, settleMs: 400 })
    const fresh = await rawClient(t, socket)
    fresh.send(hello('k'))
    const back = await rawClient(t, socket)
    back.send(hello('k', { capabilities: ['conclave_lifecycle_v1'], resumed: true }), { type: 'pre_shutdown_check' })
    // One that asks after them is answered after they were heard; and only the one that came back is in.
    assert.equal((await queryStatus(socket)).activeConns, 1)
    assert.deepEqual(fresh.lines, [])
    t.mock.timers.tick(400)
    t.mock.timers.reset()
    assert.equal((await back.json())['first_for_key'], true)
    assert.equal((await fresh.json())['first_for_key'], false)
    assert.equal((await back.json())['last_for_key'], false)
    assert.equal(bus.consumers, 2)
  })

  test('a v1 consumer that closed to clean up and lives on keeps the key for a limited time', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t), lingerMs: 50, helloWaitMs: 60_000 })
    const old = await rawClient(t, bus.socket)
    old.send(hello('k'))
    await old.next()
    old.send({ type: 'pre_shutdown_check' })
    await old.next()
    old.destroy()
    const next = await rawClient(t, bus.socket)
    next.send(hello('k'))
    assert.equal((await next.json())['first_for_key'], true)
  })

  test('room() waits for those who read, and not for one that is stopped', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t), queueSize: 10, stallMs: 300, drainMs: 10 })
    const reader = await rawClient(t, bus.socket)
    const stopped = await rawClient(t, bus.socket)
    for (const peer of [reader, stopped]) {
      peer.send(hello('k'))
      await peer.next()
    }
    stopped.socket.pause()
    for (let n = 0; n < 300; n++) {
      bus.publish({ eventType: 'a', payload: 'x'.repeat(5000) })
      if (!bus.hasRoom) await bus.room()
    }
    await until(() => reader.lines.length === 300, 'the reader to have all', { seen: () => reader.lines.length })
    await assert.rejects(bus.room({ signal: AbortSignal.abort() }), { code: 'ABORTED' })
  })
})

test('the log is put aside when it is long, and never goes through a link', (t) => {
  const path = join(temporaryDirectory(t), 'bus.log')
  openLog(posixPlatform(), path, 10)('first line')
  openLog(posixPlatform(), path, 10)('second\nline')
  assert.match(readFileSync(`${path}.1`, 'utf8'), /first line\n$/)
  assert.match(readFileSync(path, 'utf8'), /second line\n$/)
  symlinkSync(`${path}.1`, `${path}.link`)
  openLog(posixPlatform(), `${path}.link`)('x')
  assert.doesNotMatch(readFileSync(`${path}.1`, 'utf8'), /x\n$/)
})
