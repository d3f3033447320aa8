import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  consume,
  listenBus,
  queryStatus,
  stopBus,
  type EventConsumer,
  type SourceState,
} from '../../../src/dialects/eventbus/index.ts'
import { until } from '../../support/index.ts'
import { cases, rawClient, rawServer, socketIn, type Entry, type RawPeer } from './support.ts'

const CASES = cases('lark event bus')

/** pid and age are those of the recording. */
function bare(line: string): string {
  return line
    .replaceAll(/"pid":\d+/g, '"pid":0')
    .replaceAll(/\(pid \d+\)/g, '(pid 0)')
    .replaceAll(/"uptime_sec":\d+/g, '"uptime_sec":0')
}

interface Said {
  readonly type: string
  readonly [field: string]: unknown
}

describe('recorded conversations, with our bus in the place of the existing one', () => {
  for (const { name, transcript } of CASES) {
    test(name, async (t) => {
      await using bus = await listenBus({ socket: socketIn(t), exclusive: ['single.key'] })
      const source = bus.source('hand', 'connected')
      const clients = new Map<number, RawPeer>()
      for (const { connection, direction, line, end_of_stream: end } of transcript) {
        let client = clients.get(connection)
        if (client === undefined) clients.set(connection, (client = await rawClient(t, bus.socket)))
        if (direction === 'client->server') {
          if (end === true) client.finish()
          else client.send(line as string)
        } else if (end === true) await client.end()
        else {
          const { type, ...said } = JSON.parse(line as string) as Said
          if (type === 'event') {
            const event = {
              eventType: said['event_type'] as string,
              eventId: said['event_id'] as string,
              sourceTime: said['source_time'] as string,
              payload: said['payload'],
            }
            source.publish(event)
            assert.equal(source.publish(event).duplicate, true)
          } else if (type === 'source_status') source.status(said['state'] as SourceState, said['detail'] as string)
          assert.equal(bare(await client.next(type)), bare(line as string))
        }
      }
      if (name === 'shutdown') assert.equal((await bus.closed).type, 'shutdown')
      for (const client of clients.values()) assert.deepEqual(client.lines, [])
    })
  }
})

/** Plays the bus of a recording: a connection is known by its first line, as two clients come in any order. */
class FakeBus {
  readonly #peers: RawPeer[]
  readonly #known = new Map<number, RawPeer>()

  constructor(peers: RawPeer[]) {
    this.#peers = peers
  }

  async play({ connection, direction, line, end_of_stream: end }: Entry): Promise<void> {
    const peer = this.#known.get(connection) ?? (await this.#find(connection, line as string))
    if (direction === 'server->client') {
      if (end === true) peer.finish()
      else peer.send(line as string)
    } else if (end === true) await peer.end()
    else assert.equal(bare(await peer.next(line)), bare(line as string))
  }

  async #find(connection: number, line: string): Promise<RawPeer> {
    const known = [...this.#known.values()]
    const fits = (peer: RawPeer): boolean => !known.includes(peer) && bare(peer.lines[0] ?? '') === bare(line)
    const seen = (): unknown => this.#peers.map(({ lines }) => lines)
    const peer = await until(() => this.#peers.find(fits), `a connection that begins with ${line}`, { seen })
    this.#known.set(connection, peer)
    return peer
  }
}

/** The hello of each consumer, in the order their probes come. */
function hellos(transcript: readonly Entry[]): Said[] {
  return transcript.flatMap(({ line }) => (line?.includes('"hello"') === true ? [JSON.parse(line) as Said] : []))
}

describe('recorded conversations, with our consumer in the place of the existing one', () => {
  for (const { name, transcript } of CASES) {
    // Said by hand when they were recorded: a consumer never does.
    if (name === 'bye' || name === 'unknown-first-message') continue
    test(name, async (t) => {
      const socket = socketIn(t)
      const bus = new FakeBus((await rawServer(t, socket)).peers)
      if (name === 'shutdown') {
        const stopped = stopBus(socket)
        for (const entry of transcript) await bus.play(entry)
        await stopped
        return
      }
      const said = hellos(transcript)
      const consumers: Promise<EventConsumer>[] = []
      const events: unknown[] = []
      const begin = (): void => {
        const { event_key: eventKey, event_types: eventTypes, subscription_id: id } = said[consumers.length] as Said
        const consumer = consume({
          socket,
          eventKey: eventKey as string,
          eventTypes: eventTypes as string[],
          subscriptionId: id as string,
          extensions: false,
          reconnectMs: 0,
          onNotice: (notice) => events.push(notice),
        })
        consumer.catch(() => {})
        consumers.push(consumer)
        void consumer.then(
          async (one) => {
            for (let event = await one.next(); event !== undefined; event = await one.next()) events.push(event)
          },
          () => {},
        )
      }
      for (const entry of transcript) {
        if (entry.line === '{"type":"status_query"}') {
          if (consumers.length < said.length) begin()
          else void queryStatus(socket)
        }
        if (entry.line?.includes('pre_shutdown_check') === true) {
          const id = (JSON.parse(entry.line) as Said)['subscription_id']
          // Of two with one subscription the second leaves first.
          const all = await Promise.all(consumers.map((one) => one.catch(() => undefined)))
          const leaving = all.findLast((one) => one?.connected === true && one.subscriptionId === id)
          void leaving?.close()
        }
        await bus.play(entry)
      }
      if (name === 'single-consumer-rejected') {
        await assert.rejects(consumers[1] as Promise<EventConsumer>, {
          code: 'CONFLICT',
          message: /another consumer \(pid 19199\)/,
        })
      }
      if (name === 'consumer-lifecycle') {
        const end = await (await consumers[0])?.closed
        assert.deepEqual([end?.type, end?.cleanup, end?.received, end?.missed], ['closed', 'none', 2, 0])
        assert.equal(events.length, 5)
      }
    })
  }
})
