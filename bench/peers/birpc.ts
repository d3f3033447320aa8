// birpc over node:net: JSON, a line for each message.
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { createBirpc } from 'birpc'
import type { Peer, Place } from './peer.ts'

const functions = { echo: (body: unknown) => body, sink: (body: string) => body.length }
const path = ({ folder }: Place): string => join(folder, 'rpc.sock')

function open(socket: Socket, offered: Record<string, unknown>) {
  socket.setEncoding('utf8')
  return createBirpc<typeof functions>(offered, {
    post: (line: string) => void socket.write(`${line}\n`),
    on: (take) => {
      let rest = ''
      socket.on('data', (text: string) => {
        const lines = (rest + text).split('\n')
        rest = lines.pop() ?? ''
        for (const line of lines) take(line)
      })
    },
    serialize: (value) => JSON.stringify(value),
    deserialize: (line: string) => JSON.parse(line),
  })
}

export const peer: Peer = {
  rpc: {
    form: 'text',
    serve: async (place) => {
      const server = createServer((socket) => void open(socket, functions))
      server.listen(path(place))
      await once(server, 'listening')
    },
    connect: async (place) => {
      const socket = connect(path(place))
      await once(socket, 'connect')
      const remote = open(socket, {})
      return { call: (method, body) => (method === 'echo' ? remote.echo(body) : remote.sink(body as string)) }
    },
  },
}
