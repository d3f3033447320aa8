/** One test for each numbered weak point of the existing system (SEEDS.md 4.5). */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Buffer } from 'node:buffer'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { consume, listenBus, type BusNotice, type ConsumerNotice } from '../../../src/dialects/eventbus/index.ts'
import { OutQueue } from '../../../src/dialects/eventbus/out-queue.ts'
import { eventText } from '../../../src/dialects/eventbus/event-text.ts'
import { posixPlatform } from '../../../src/platform/index.ts'
import { unixTransport, type ListenOptions } from '../../../src/transport/index.ts'
import { spawnProgram, until, within } from '../../support/index.ts'
import { rawClient, rawServer, socketIn, strangersAround, type RawPeer } from './support.ts'

const HELLO = {
  type: 'hello',
  pid: process.pid,
  event_key: 'k',
  event_types: ['a'],
  version: 'v1',
  subscription_id: 'k',
}
const CHECK = { type: 'pre_shutdown_check', event_key: 'k', subscription_id: 'k' }
const KEY = { eventKey: 'k', eventTypes: ['a'] } as const

async function v1(t: Parameters<typeof rawClient>[0], socket: string): Promise<RawPeer> {
  const peer = await rawClient(t, socket)
  peer.send(HELLO)
  return peer
}

describe('weak points of the existing event bus, which ours does not have', () => {
  test('4.5.1 ours: nobody is let in before the clean-up is over', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t) })
    const order: string[] = []
    const first = await consume({
      socket: bus.socket,
      ...KEY,
      cleanup: async () => {
        order.push('clean-up begins')
        await sleep(100)
        order.push('clean-up ends')
      },
    })
    const left = first.close()
    await until(() => order.length === 1, 'the clean-up to begin')
    await using next = await consume({ socket: bus.socket, ...KEY, setup: () => void order.push('set-up') })
    assert.deepEqual(order, ['clean-up begins', 'clean-up ends', 'set-up'])
    assert.equal(next.first, true)
    assert.equal((await left).cleanup, 'ran')
  })

  test('4.5.1 v1: one that closes first and cleans up then keeps the key until its process has ended', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t), helloWaitMs: 60_000, lingerMs: 60_000 })
    const old = spawnProgram(t, `${import.meta.dirname}/programs/v1-consumer.ts`, [bus.socket])
    await old.ready()
    old.send({ do: 'leave' })
    assert.deepEqual(await old.next(), { last: true })
    const next = await v1(t, bus.socket)
    await old.next((message) => message['cleaning'] === true)
    assert.deepEqual(next.lines, [])
    old.letGo()
    await old.exit
    assert.equal((await next.json())['first_for_key'], true)
    assert.deepEqual(old.messages.at(-1), { cleaned: true })
  })

  test('4.5.2 two that leave together: exactly one is the last', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t), lingerMs: 1 })
    const pair = [await v1(t, bus.socket), await v1(t, bus.socket)]
    for (const peer of pair) await peer.next('its hello_ack')
    for (const peer of pair) peer.send(CHECK)
    const answers = await Promise.all(pair.map((peer) => peer.json('its answer')))
    assert.deepEqual(answers.map((answer) => answer['last_for_key']).sort(), [false, true])
  })

  test('4.5.3 the last one cleans up, also when it was not the first', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t) })
    const ran: string[] = []
    const options = { socket: bus.socket, ...KEY }
    const first = await consume({ ...options, cleanup: () => void ran.push('first') })
    const second = await consume({ ...options, cleanup: () => void ran.push('second') })
    assert.equal((await first.close()).cleanup, 'not-last')
    assert.equal((await second.close()).cleanup, 'ran')
    assert.deepEqual(ran, ['second'])
  })

  test('4.5.4 a lost bus is no end: consumers come back, say so, and none cleans up', async (t) => {
    const socket = socketIn(t)
    const bus = await listenBus({ socket })
    const notices: ConsumerNotice[] = []
    let setups = 0
    let cleanups = 0
    const options = { socket, ...KEY, setup: () => void setups++, cleanup: () => void cleanups++ }
    const one = await consume({ ...options, onNotice: (notice) => notices.push(notice) })
    const two = await consume(options)
    await bus.close()
    await until(() => !one.connected && !two.connected, 'both to be cut')
    await using next = await listenBus({ socket })
    await until(() => next.consumers === 2 && one.connected && two.connected, 'both to be back')
    next.publish({ eventType: 'a', payload: 1 })
    assert.equal((await one.next())?.missed, Infinity)
    assert.deepEqual(
      notices.map(({ type }) => type),
      ['disconnected', 'reconnected', 'gap'],
    )
    assert.deepEqual([setups, cleanups], [1, 0])
    await one.close()
    await two.close()
    assert.deepEqual([setups, cleanups], [1, 1])
  })

  test('4.5.4 without any bus nobody takes itself for the last, and the exit says so', async (t) => {
    const socket = socketIn(t)
    const bus = await listenBus({ socket })
    const consumer = await consume({ socket, ...KEY, reconnectMs: 0, cleanup: () => assert.fail('cleaned up') })
    await bus.close()
    const end = await consumer.closed
    assert.deepEqual([end.type, end.cleanup], ['bus-gone', 'unknown'])
  })

  test('4.5.5 a consumer that does not read is neither cut nor taken for gone; it loses its oldest events', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t), writeTimeoutMs: 50, queueSize: 10 })
    const slow = await v1(t, bus.socket)
    await slow.next('its hello_ack')
    slow.socket.pause()
    for (let n = 0; n < 500; n++) bus.publish({ eventType: 'a', payload: 'x'.repeat(10_000) })
    await sleep(200)
    assert.equal(bus.consumers, 1)
    slow.socket.resume()
    bus.publish({ eventType: 'a', payload: 'end' })
    await until(() => slow.lines.at(-1)?.includes('"end"'), 'the last event')
    const seqs = slow.lines.map((line) => (JSON.parse(line) as { seq: number }).seq)
    const [status] = bus.status().consumers
    assert.equal(seqs.at(-1), 501)
    assert.equal(501 - seqs.length, status?.dropped)
    assert.ok((status?.dropped ?? 0) > 0)
  })

  test('4.5.5 a consumer of ours that is cut comes back and cleans up for nobody', async (t) => {
    const socket = socketIn(t)
    const server = await rawServer(t, socket)
    const consumer = await consume({
      socket: await scripted(server, socket),
      ...KEY,
      cleanup: () => assert.fail('cleaned up'),
    })
    ;(await server.peer(1)).destroy()
    await answerProbe(await server.peer(2))
    const again = await server.peer(3)
    assert.equal((await again.json())['type'], 'hello')
    again.send({ type: 'hello_ack', bus_version: 'v1', first_for_key: false })
    await until(() => consumer.connected, 'it to be back')
    const left = consumer.close()
    assert.equal((await again.json())['type'], 'pre_shutdown_check')
    again.send({ type: 'pre_shutdown_ack', last_for_key: false })
    assert.equal((await left).cleanup, 'not-last')
  })

  test('4.5.6 one that asked and hangs keeps the key for a limited time', async (t) => {
    const notices: BusNotice[] = []
    const onNotice = (notice: BusNotice): void => void notices.push(notice)
    await using bus = await listenBus({ socket: socketIn(t), cleanupTimeoutMs: 50, helloWaitMs: 60_000, onNotice })
    const hanging = await v1(t, bus.socket)
    await hanging.next()
    hanging.send(CHECK)
    assert.equal((await hanging.json())['last_for_key'], true)
    const next = await v1(t, bus.socket)
    assert.equal((await next.json())['first_for_key'], true)
    await hanging.end()
    assert.ok(notices.some(({ type }) => type === 'cleanup-timeout'))
  })

  test('4.5.6 while it hangs, others are told why they are not let in', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t), helloWaitMs: 50 })
    const hanging = await v1(t, bus.socket)
    await hanging.next()
    hanging.send(CHECK)
    await hanging.next()
    const ack = await (await v1(t, bus.socket)).json()
    assert.equal(ack['rejected'], true)
    assert.match(String(ack['reject_reason']), /clean-up .* \(pid \d+\) is still running/)
  })

  test('4.5.7 events that arrive while a consumer leaves are counted', async (t) => {
    const socket = socketIn(t)
    const server = await rawServer(t, socket)
    const consumer = await consume({ socket: await scripted(server, socket), ...KEY })
    const bus = await server.peer(1)
    const left = consumer.close()
    await bus.next('the check')
    bus.send(
      { type: 'event', event_type: 'a', seq: 1, payload: 1 },
      { type: 'event', event_type: 'a', seq: 2, payload: 2 },
    )
    bus.send({ type: 'pre_shutdown_ack', last_for_key: false })
    assert.equal((await left).undelivered, 2)
  })

  test('4.5.7 an event whose line would be too long is refused where it is published', async (t) => {
    await using bus = await listenBus({ socket: socketIn(t) })
    await using consumer = await consume({ socket: bus.socket, ...KEY })
    const payload = 'x'.repeat(1024 * 1024 - 60)
    assert.ok(Buffer.byteLength(JSON.stringify(payload)) < 1024 * 1024)
    assert.throws(() => bus.publish({ eventType: 'a', eventId: '1', payload }), { code: 'FRAME_TOO_LARGE' })
    // The longest one that passes is read by the consumer.
    const head = Buffer.byteLength('{"type":"event","event_type":"a","payload":""}\n') + 23
    bus.publish({ eventType: 'a', payload: 'x'.repeat(1024 * 1024 - head) })
    assert.equal((await consumer.next())?.seq, 1)
  })

  test('4.5.8 a source status is never dropped for an event, nor counted as one; numbers follow the queue', () => {
    const queue = new OutQueue({ events: 2, bytes: 1 << 20, states: 10 })
    queue.state('state\n')
    for (let n = 1; n <= 5; n++) queue.event(eventText({ eventType: 'a', payload: n }, 1 << 20))
    const lines = queue
      .take(1 << 20)
      .trimEnd()
      .split('\n')
    assert.equal(lines[0], 'state')
    assert.deepEqual(
      lines.slice(1).map((line) => (JSON.parse(line) as { seq: number }).seq),
      [4, 5],
    )
    assert.deepEqual([queue.received, queue.dropped], [5, 3])
  })

  test('4.5.9 another user is refused and counted; a claimed pid is corrected; shutdown can be forbidden', async (t) => {
    const socket = socketIn(t)
    const notices: BusNotice[] = []
    const onNotice = (notice: BusNotice): void => void notices.push(notice)
    const bus = await listenBus({ socket, allowShutdown: false, onNotice })
    const liar = await rawClient(t, socket)
    liar.send({ ...HELLO, pid: 1 })
    await liar.next()
    assert.equal(bus.status().consumers[0]?.pid, process.pid)
    assert.ok(notices.some((notice) => notice.type === 'wrong-pid' && notice.said === 1))
    const killer = await rawClient(t, socket)
    killer.send({ type: 'shutdown' })
    await killer.end()
    assert.equal(bus.consumers, 1)
    await assert.rejects(consume({ socket, ...KEY }, strangersAround()), { code: 'FORBIDDEN' })
    await bus.close()

    // The other way round: the bus is somebody else's, as far as it can tell.
    const strange = await listenBus({ socket, uids: [4_000_000] })
    t.after(() => strange.close())
    await (await rawClient(t, socket)).end()
    await until(() => strange.counters.refused === 1, 'the refusal to be counted')
  })

  test('4.5.10 a consumer that comes at the moment of the idle exit is served', async (t) => {
    const socket = socketIn(t)
    const platform = posixPlatform()
    let raced: ReturnType<typeof connect> | undefined
    const racing = new Proxy(platform, {
      get: (target, name): unknown => {
        if (name === 'remove') {
          return (path: string) => {
            // The last moment at which the socket can be found.
            if (path === socket && raced === undefined) {
              raced = connect({ path, allowHalfOpen: true })
              raced.write(`${JSON.stringify(HELLO)}\n`)
            }
            target.remove(path)
          }
        }
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
    await using bus = await listenBus({ socket, idleExitMs: 30 }, { platform: racing })
    t.after(() => raced?.destroy())
    await until(() => bus.consumers === 1, 'the late consumer to be admitted')
    const next = await until(async () => rawClient(t, socket).catch(() => undefined), 'the bus to be found again')
    next.send(HELLO)
    assert.equal((await next.json())['first_for_key'], false)
    raced?.destroy()
    next.destroy()
    assert.equal((await within(bus.closed, 'the idle exit')).type, 'idle')
  })

  test('4.5.11 a failed accept does not end accepting', async (t) => {
    let fail: (error: Error) => void = () => {}
    const transport = (platform: ReturnType<typeof posixPlatform>) => {
      const real = unixTransport(platform)
      const listen = (path: string, options: ListenOptions): ReturnType<typeof real.listen> => {
        fail = options.onError
        return real.listen(path, options)
      }
      return { listen, connect: (path: string) => real.connect(path) }
    }
    await using bus = await listenBus({ socket: socketIn(t) }, { transport })
    fail(new Error('EMFILE'))
    await using consumer = await consume({ socket: bus.socket, ...KEY })
    assert.equal(consumer.first, true)
    assert.equal(bus.counters.acceptErrors, 1)
  })
})

async function answerProbe(peer: RawPeer): Promise<void> {
  assert.equal(await peer.next('a probe'), '{"type":"status_query"}')
  peer.send({ type: 'status_response', pid: 1, uptime_sec: 0, active_conns: 0, consumers: [] })
  peer.finish()
}

/** A bus of v1 that answers one probe and one hello. */
async function scripted(server: Awaited<ReturnType<typeof rawServer>>, socket: string): Promise<string> {
  const answer = async (): Promise<void> => {
    await answerProbe(await server.peer(0))
    const peer = await server.peer(1)
    await peer.next('a hello')
    peer.send({ type: 'hello_ack', bus_version: 'v1', first_for_key: true })
  }
  void answer()
  return Promise.resolve(socket)
}
