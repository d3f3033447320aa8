// vscode-jsonrpc over a Unix socket, with its own reader and writer.
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import {
  createMessageConnection,
  NotificationType,
  RequestType,
  SocketMessageReader,
  SocketMessageWriter,
} from 'vscode-jsonrpc/node'
import type { Peer, Place } from './peer.ts'

const echo = new RequestType<unknown, unknown, void>('echo')
const sink = new RequestType<unknown, null, void>('sink')
const items = new RequestType<number, null, void>('items')
const item = new NotificationType<unknown>('item')

const path = ({ folder }: Place): string => join(folder, 'rpc.sock')
const open = (socket: Socket) =>
  createMessageConnection(new SocketMessageReader(socket), new SocketMessageWriter(socket))

async function serve(place: Place): Promise<void> {
  const server = createServer((socket) => {
    const connection = open(socket)
    connection.onRequest(echo, (body) => body)
    connection.onRequest(sink, () => null)
    connection.onRequest(items, async (count) => {
      for (let n = 0; n < count; n++) {
        await connection.sendNotification(item, { n, text: 'an item of the stream, such as a line' })
      }
      return null
    })
    connection.listen()
  })
  server.listen(path(place))
  await once(server, 'listening')
}

async function client(place: Place) {
  const socket = connect(path(place))
  await once(socket, 'connect')
  const connection = open(socket)
  connection.listen()
  return connection
}

export const peer: Peer = {
  rpc: {
    form: 'text',
    serve,
    connect: async (place) => {
      const connection = await client(place)
      return { call: (method, body) => connection.sendRequest(method === 'echo' ? echo : sink, body) }
    },
  },
  streaming: {
    serve,
    connect: async (place) => {
      const connection = await client(place)
      return {
        stream: async (count, deliver) => {
          const listener = connection.onNotification(item, deliver)
          await connection.sendRequest(items, count)
          listener.dispose()
        },
      }
    },
  },
}
