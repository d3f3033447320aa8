// A local nats-server and @nats-io/transport-node. Requests use its one shared inbox, subscriptions its callbacks, which its
// documentation calls the fastest; writes of one turn leave together by themselves.
import { connect, type NatsConnection } from '@nats-io/transport-node'
import type { Peer, Place } from './peer.ts'

const open = ({ url }: Place): Promise<NatsConnection> => connect({ servers: url ?? '', reconnect: false })
const ANSWER = new Uint8Array(0)

async function serve(place: Place): Promise<void> {
  const connection = await open(place)
  connection.subscribe('bench.echo', { callback: (_, message) => void message.respond(message.data) })
  connection.subscribe('bench.sink', { callback: (_, message) => void message.respond(ANSWER) })
  await connection.flush()
}

async function client(place: Place) {
  const connection = await open(place)
  return {
    call: (method: 'echo' | 'sink', body: string | Uint8Array) =>
      connection.request(`bench.${method}`, body, { timeout: 30_000 }),
  }
}

export const peer: Peer = {
  rpc: { form: 'bytes', serve, connect: client },
  relay: { hub: async () => {}, serve, connect: client },
  fanout: {
    hub: async () => {},
    publisher: async (place) => {
      const connection = await open(place)
      return { publish: (message) => connection.publish('bench.fanout', JSON.stringify(message)) }
    },
    subscribe: async (place, deliver) => {
      const connection = await open(place)
      connection.subscribe('bench.fanout', { callback: (_, message) => deliver(message.json()) })
      await connection.flush()
    },
  },
}
