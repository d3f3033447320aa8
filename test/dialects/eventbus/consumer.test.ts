// limit: 240 s
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { consume, listenBus, queryStatus, stopBus, type ConsumerNotice } from '../../../src/dialects/eventbus/index.ts'
import { defer, spawnProgram, stateOf, until, type Scope } from '../../support/index.ts'
import { rawClient, rawServer, socketIn } from './support.ts'

const KEY = { eventKey: 'k', eventTypes: ['a'] } as const
/** Where a bus is a process that has just started. */
const PATIENT = { probeTimeoutMs: 60_000, helloTimeoutMs: 60_000, checkTimeoutMs: 60_000 } as const
/** The figure is 200; CONCLAVE_LEAVES=200 runs it with processes too. */
const LEAVES = Number(process.env['CONCLAVE_LEAVES'] ?? 25)

/** A detached bus is nobody's child: the test ends it. */
function endBus(t: Scope, socket: string): void {
  defer(t, async () => {
    const status = await queryStatus(socket, { timeoutMs: 30_000 }).catch(() => undefined)
    if (status === undefined) return
    await stopBus(socket, { timeoutMs: 30_000 }).catch(() => {})
    await until(() => stateOf(status.pid) === '', 'the bus to be gone')
  })
}

describe('start-or-connect', () => {
  test('ten at once start one bus; its source speaks to all', async (t) => {
    const socket = socketIn(t)
    endBus(t, socket)
    const source = pathToFileURL(join(import.meta.dirname, 'programs', 'source.ts'))
    const start = { sources: [source], startTimeoutMs: 60_000, idleExitMs: 60_000 }
    const options = { socket, ...KEY, ...PATIENT, start }
    const consumers = await Promise.all(Array.from({ length: 10 }, () => consume(options)))
    assert.equal(new Set(consumers.map(({ busPid }) => busPid)).size, 1)
    assert.notEqual(consumers[0]?.busPid, process.pid)
    for (const consumer of consumers) assert.equal((await consumer.next())?.eventType, 'a')
    assert.equal(consumers.filter(({ first }) => first).length, 1)
    assert.match(readFileSync(join(dirname(socket), 'bus.log'), 'utf8'), /listens at/)
    for (const consumer of consumers) await consumer.close()
  })

  test('a killed bus is started again by its consumers, once', async (t) => {
    const socket = socketIn(t)
    endBus(t, socket)
    const start = { startTimeoutMs: 60_000, idleExitMs: 60_000 }
    const notices: ConsumerNotice[] = []
    const one = await consume({ socket, ...KEY, ...PATIENT, start, onNotice: (notice) => notices.push(notice) })
    const two = await consume({ socket, ...KEY, ...PATIENT, start })
    const before = one.busPid as number
    process.kill(before, 'SIGKILL')
    await until(
      () => one.connected && two.connected && one.busPid !== before && two.busPid !== before,
      'both to be back',
    )
    assert.equal(one.busPid, two.busPid)
    assert.deepEqual(
      notices.map(({ type }) => type),
      ['disconnected', 'reconnected'],
    )
    await one.close()
    await two.close()
  })

  test('without start there must be one; it can be waited for', async (t) => {
    const socket = socketIn(t)
    await assert.rejects(consume({ socket, ...KEY }), { code: 'DISCONNECTED' })
    const waiting = consume({ socket, ...KEY, waitMs: 60_000 })
    await using _bus = await listenBus({ socket })
    await (await waiting).close()
    const stop = new AbortController()
    const aborted = consume({ socket: `${socket}2`, ...KEY, waitMs: 60_000, signal: stop.signal })
    stop.abort(new Error('enough'))
    await assert.rejects(aborted, { code: 'ABORTED' })
  })

  test('a connection at the remote side refuses the start; when it cannot be asked, it is started', async (t) => {
    const socket = socketIn(t)
    endBus(t, socket)
    const start = { startTimeoutMs: 60_000, idleExitMs: 60_000 }
    const elsewhere = { ...start, remoteConnections: () => Promise.resolve(2) }
    await assert.rejects(consume({ socket, ...KEY, start: elsewhere }), { code: 'CONFLICT' })
    const hangs = { ...start, remoteConnections: () => new Promise<number>(() => {}), remoteTimeoutMs: 10 }
    await (await consume({ socket, ...KEY, ...PATIENT, start: hangs })).close()
  })

  test('a program that is no bus, and one that is none at all', async (t) => {
    const socket = socketIn(t)
    const none = { startTimeoutMs: 100, command: ['/bin/true'] }
    await assert.rejects(consume({ socket, ...KEY, start: none }), { code: 'TIMEOUT' })
    const missing = { startTimeoutMs: 60_000, command: ['/nowhere/x'] }
    await assert.rejects(consume({ socket, ...KEY, start: missing }), { code: 'INTERNAL' })
  })

  test('limits of the handshake: the probe, the hello', async (t) => {
    const socket = socketIn(t)
    const server = await rawServer(t, socket)
    await assert.rejects(consume({ socket, ...KEY, probeTimeoutMs: 20 }), { code: 'TIMEOUT' })
    const refused = consume({ socket, ...KEY, helloTimeoutMs: 20 })
    const probe = await server.peer(1)
    probe.send({ type: 'status_response' })
    await assert.rejects(refused, { code: 'TIMEOUT' })
  })
})

describe('EventConsumer', () => {
  test('a set-up that fails lets the next one be first', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t), helloWaitMs: 60_000 })
    let fail: (error: Error) => void = () => {}
    const failing = consume({ socket: bus.socket, ...KEY, setup: () => new Promise((_, reject) => (fail = reject)) })
    await until(() => bus.consumers === 1, 'the first to set up')
    const abandoned: boolean[] = []
    const next = consume({ socket: bus.socket, ...KEY, setup: (context) => void abandoned.push(context.abandoned) })
    await until(async () => (await queryStatus(bus.socket)).activeConns === 1, 'the next to wait')
    fail(new Error('no right to'))
    await assert.rejects(failing, /no right to/)
    assert.equal((await next).first, true)
    assert.deepEqual(abandoned, [true])
    await (await next).close()
  })

  test('a clean-up that fails is told, and ends the reservation', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t) })
    const consumer = await consume({ socket: bus.socket, ...KEY, cleanup: () => Promise.reject(new Error('gone')) })
    const end = await consumer.close()
    assert.deepEqual([end.cleanup, end.cleanupError?.message], ['failed', 'gone'])
    await (await consume({ socket: bus.socket, ...KEY })).close()
  })

  test('ends: limit, timeout, signal, leaving the loop', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t) })
    const limited = await consume({ socket: bus.socket, ...KEY, limit: 2 })
    for (let n = 0; n < 5; n++) bus.publish({ eventType: 'a', payload: n })
    const seen: unknown[] = []
    for await (const event of limited) seen.push(event.payload)
    assert.deepEqual(seen, [0, 1])
    assert.equal((await limited.closed).type, 'limit')
    assert.equal((await (await consume({ socket: bus.socket, ...KEY, timeoutMs: 1 })).closed).type, 'timeout')
    const stop = new AbortController()
    const stopped = await consume({ socket: bus.socket, ...KEY, signal: stop.signal })
    stop.abort()
    assert.deepEqual([(await stopped.closed).type, (await stopped.closed).cleanup], ['signal', 'none'])
    const left = await consume({ socket: bus.socket, ...KEY })
    for (let n = 0; n < 5; n++) bus.publish({ eventType: 'a', payload: n })
    for await (const _ of left) break
    assert.equal((await left.closed).type, 'closed')
    await until(() => bus.consumers === 0, 'the bus to see them all go')
  })

  test('one that reads slowly stops reading, and loses nothing while the bus has room', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t) })
    const consumer = await consume({ socket: bus.socket, ...KEY, queueSize: 1 })
    const total = 3000
    const publishing = (async () => {
      for (let n = 1; n <= total; n++) {
        bus.publish({ eventType: 'a', payload: n })
        if (!bus.hasRoom) await bus.room()
      }
    })()
    let sum = 0
    for (let n = 1; n <= total; n++) {
      const event = await consumer.next()
      sum += 1 + (event?.missed ?? 0)
      if (event?.seq === total) break
    }
    await publishing
    assert.equal(sum, total)
    await consumer.close()
  })

  test('handlers run side by side, as many as asked for; a filter keeps gaps', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t) })
    const consumer = await consume({ socket: bus.socket, ...KEY, limit: 5, filter: ({ payload }) => payload !== 2 })
    let running = 0
    let most = 0
    const done: unknown[] = []
    const all = consumer.each(
      async ({ payload }) => {
        most = Math.max(most, ++running)
        await new Promise((resolve) => setImmediate(resolve))
        running--
        done.push(payload)
      },
      { workers: 3 },
    )
    for (let n = 1; n <= 6; n++) bus.publish({ eventType: 'a', payload: n })
    assert.equal((await all).type, 'limit')
    assert.deepEqual([done.length, most], [5, 3])
  })

  test('a limit counts what passes the filter, also when the event at it does not', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t) })
    const consumer = await consume({ socket: bus.socket, ...KEY, limit: 2, filter: ({ payload }) => payload !== 2 })
    for (let n = 1; n <= 5; n++) bus.publish({ eventType: 'a', payload: n })
    const seen: unknown[] = []
    for await (const { payload } of consumer) seen.push(payload)
    assert.deepEqual([seen, (await consumer.closed).type], [[1, 3], 'limit'])
  })

  test('the first event after a reconnect tells of the gap, also when it comes with the answer to the hello', async (t) => {
    const socket = socketIn(t)
    const server = await rawServer(t, socket)
    const ack = { type: 'hello_ack', bus_version: 'v1', first_for_key: true }
    const event = (payload: number): object => ({ type: 'event', event_type: 'a', seq: payload % 10, payload })
    const answer = async (from: number, ...events: object[]): Promise<void> => {
      ;(await server.peer(from)).send({ type: 'status_response' })
      await (await server.peer(from + 1)).next()
      ;(await server.peer(from + 1)).send(ack, ...events)
    }
    const consuming = consume({ socket, ...KEY, checkTimeoutMs: 20 })
    await answer(0, event(1))
    const consumer = await consuming
    server.peers[1]?.destroy()
    await answer(2, event(11), event(12))
    const missed: unknown[] = []
    for (let n = 0; n < 3; n++) {
      const next = await consumer.next()
      missed.push([next?.payload, next?.missed])
    }
    assert.deepEqual(missed, [
      [1, 0],
      [11, Infinity],
      [12, 0],
    ])
    await consumer.close()
  })

  test('the signal of the consumer reaches a set-up that is running', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t) })
    const stop = new AbortController()
    const setup = ({ signal }: { readonly signal: AbortSignal }): Promise<void> =>
      new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('told'))))
    const consuming = consume({ socket: bus.socket, ...KEY, setup, signal: stop.signal })
    await until(() => bus.consumers === 1, 'the set-up to run')
    stop.abort()
    await assert.rejects(consuming, { code: 'ABORTED' })
    const next = await consume({ socket: bus.socket, ...KEY })
    assert.equal(next.first, true)
    await next.close()
  })

  test('a bus that does not say who is last: nothing is cleaned up', async (t) => {
    const socket = socketIn(t)
    const server = await rawServer(t, socket)
    const consuming = consume({ socket, ...KEY, checkTimeoutMs: 20, cleanup: () => assert.fail('cleaned up') })
    ;(await server.peer(0)).send({ type: 'status_response' })
    const bus = await server.peer(1)
    await bus.next()
    bus.send({ type: 'hello_ack', bus_version: 'v1', first_for_key: true })
    assert.equal((await (await consuming).close()).cleanup, 'unknown')
  })

  test('source states arrive; a line that is too long is skipped with one notice', async (t) => {
    const socket = socketIn(t)
    const server = await rawServer(t, socket)
    const notices: ConsumerNotice[] = []
    const consuming = consume({
      socket,
      ...KEY,
      maxFrameBytes: 500,
      reconnectMs: 0,
      onNotice: (notice) => notices.push(notice),
    })
    ;(await server.peer(0)).send({ type: 'status_response' })
    const bus = await server.peer(1)
    await bus.next()
    bus.send({ type: 'hello_ack', bus_version: 'v1', first_for_key: true })
    const consumer = await consuming
    bus.send(
      'x'.repeat(600),
      { type: 'source_status', source: 's', state: 'connected' },
      { type: 'event', event_type: 'a', seq: 1, payload: 1 },
    )
    assert.equal((await consumer.next())?.payload, 1)
    assert.deepEqual(
      notices.map(({ type }) => type),
      ['skipped', 'source-status'],
    )
    bus.destroy()
    assert.equal((await consumer.closed).type, 'bus-gone')
  })

  test('of several rejections on coming back the last ends it', async (t) => {
    const socket = socketIn(t)
    const bus = await listenBus({ socket })
    const consumer = await consume({ socket, ...KEY })
    await bus.close()
    await using next = await listenBus({ socket, exclusive: ['k'] })
    const other = await rawClient(t, socket)
    other.send({ type: 'hello', event_key: 'k', event_types: [], version: 'v1' })
    await until(() => next.consumers === 1, 'somebody to have the key')
    let end: string | undefined
    void consumer.closed.then(({ type }) => (end = type))
    // Whoever came first has the key.
    assert.match(
      String(await until(() => (consumer.connected ? 'connected' : end), 'its end')),
      /^(connected|rejected)$/,
    )
    await consumer.close()
  })
})

describe('two consumers that leave at the same moment', () => {
  test('200 times in one process: exactly one cleans up each time', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t) })
    for (let round = 0; round < 200; round++) {
      let cleaned = 0
      const options = { socket: bus.socket, ...KEY, cleanup: () => void cleaned++ }
      const pair = await Promise.all([consume(options), consume(options)])
      const ends = await Promise.all(pair.map((one) => one.close()))
      assert.equal(cleaned, 1, `round ${round}`)
      assert.deepEqual(ends.map(({ cleanup }) => cleanup).sort(), ['not-last', 'ran'])
    }
  })

  test(`${LEAVES} times in two processes: exactly one cleans up each time`, async (t) => {
    await using bus = await listenBus({ socket: socketIn(t) })
    const file = join(import.meta.dirname, 'programs', 'leaver.ts')
    const pair = [spawnProgram(t, file, [bus.socket]), spawnProgram(t, file, [bus.socket])]
    for (const program of pair) await program.ready()
    for (let round = 0; round < LEAVES; round++) {
      for (const program of pair) program.send({ do: 'join' })
      for (const program of pair) await program.next((message) => message['joined'] === true)
      for (const program of pair) program.send({ do: 'leave' })
      const ends = await Promise.all(pair.map((program) => program.next((message) => 'cleanup' in message)))
      assert.deepEqual(ends.map(({ cleanup }) => cleanup).sort(), ['not-last', 'ran'], `round ${round}`)
    }
    for (const program of pair) program.letGo()
    for (const program of pair) await program.exit
  })

  test('one is killed: the other is the last; both are killed: the next one is told', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t) })
    const file = join(import.meta.dirname, 'programs', 'leaver.ts')
    const pair = [spawnProgram(t, file, [bus.socket]), spawnProgram(t, file, [bus.socket])]
    for (const program of pair) {
      await program.ready()
      program.send({ do: 'join' })
      await program.next((message) => message['joined'] === true)
    }
    await pair[0]?.kill()
    await until(() => bus.consumers === 1, 'the bus to notice')
    pair[1]?.send({ do: 'leave' })
    assert.deepEqual(await pair[1]?.next((message) => 'cleanup' in message), { cleanup: 'ran' })
    pair[1]?.send({ do: 'join' })
    await pair[1]?.next((message) => message['joined'] === true)
    await pair[1]?.kill()
    await until(() => bus.consumers === 0, 'the bus to notice')
    const told: boolean[] = []
    await using _next = await consume({
      socket: bus.socket,
      ...KEY,
      setup: ({ abandoned }) => void told.push(abandoned),
    })
    assert.deepEqual(told, [true])
  })
})
