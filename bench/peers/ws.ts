// ws over a Unix socket, without compression, as its documentation advises. JSON with a number for calls; bytes with a header of four.
import { once } from 'node:events'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { WebSocket, WebSocketServer } from 'ws'
import type { Peer, Place } from './peer.ts'

interface Request {
  readonly id: number
  readonly method?: 'echo' | 'sink'
  readonly body: unknown
}

const path = ({ folder }: Place): string => join(folder, 'rpc.sock')

export const peer: Peer = {
  rpc: {
    form: 'text',
    bulkForm: 'bytes',
    serve: async (place) => {
      const http = createServer()
      new WebSocketServer({ server: http, perMessageDeflate: false }).on('connection', (socket) => {
        socket.on('message', (data: Buffer, binary) => {
          if (binary) return socket.send(data.subarray(0, 4)) // a body for the sink
          const { id, method, body } = JSON.parse(data.toString()) as Request
          socket.send(JSON.stringify({ id, body: method === 'echo' ? body : null }))
        })
      })
      http.listen(path(place))
      await once(http, 'listening')
    },
    connect: async (place) => {
      const socket = new WebSocket(`ws+unix:${path(place)}:/`, { perMessageDeflate: false })
      await once(socket, 'open')
      const waiting = new Map<number, (body: unknown) => void>()
      let last = 0
      socket.on('message', (data: Buffer, binary) => {
        const { id, body } = binary ? { id: data.readUInt32LE(), body: null } : (JSON.parse(data.toString()) as Request)
        waiting.get(id)?.(body)
        waiting.delete(id)
      })
      return {
        call: (method, body) =>
          new Promise((resolve) => {
            const id = ++last
            waiting.set(id, resolve)
            if (typeof body === 'string') return socket.send(JSON.stringify({ id, method, body }))
            const header = Buffer.alloc(4)
            header.writeUInt32LE(id)
            socket.send(header, { binary: true, fin: false })
            socket.send(body, { binary: true, fin: true })
          }),
      }
    },
  },
}
