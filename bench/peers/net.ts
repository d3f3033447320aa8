// The floor: what node:net itself costs, without a protocol. Writes of one turn leave together (cork).
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Body, Fanout, Message, Peer, Place } from './peer.ts'

const ECHO = 'echo.sock'
const SINK = 'sink.sock'
const HUB = 'hub.sock'
const ITEM = Buffer.alloc(64, 'i')
const MESSAGE_BYTES = 128

type Send = (chunk: Uint8Array) => void

async function listen(path: string, serve: (socket: Socket) => void): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    serve(socket)
  })
  server.listen(path)
  await once(server, 'listening')
  return server
}

async function open(path: string): Promise<Socket> {
  const socket = connect(path)
  await once(socket, 'connect')
  return socket
}

/** Corked until the turn is over. */
function corked(socket: Socket): Send {
  let corked = false
  return (chunk) => {
    if (!corked) {
      corked = true
      socket.cork()
      process.nextTick(() => {
        corked = false
        socket.uncork()
      })
    }
    socket.write(chunk)
  }
}

const echo = ({ folder }: Place) =>
  listen(join(folder, ECHO), (socket) => socket.on('data', (data) => socket.write(data)))

/** One byte for each body; the first four bytes of a connection say how long a body is. */
const sink = ({ folder }: Place) =>
  listen(join(folder, SINK), (socket) => {
    let bodyBytes = 0
    let have = 0
    socket.on('data', (data) => {
      have += data.length
      if (bodyBytes === 0) {
        bodyBytes = data.readUInt32LE()
        have -= 4
      }
      for (; have >= bodyBytes; have -= bodyBytes) socket.write('.')
    })
  })

/** Answers by their length, in order. */
class Pipeline {
  readonly #write: (chunk: Uint8Array) => void
  readonly #waiting: { left: number; resolve(value: unknown): void }[] = []
  #head = 0

  constructor(socket: Socket) {
    this.#write = corked(socket)
    socket.on('data', (data) => this.#take(data.length))
  }

  send(body: Uint8Array, answerBytes: number): Promise<unknown> {
    return new Promise((resolve) => {
      this.#waiting.push({ left: answerBytes, resolve })
      this.#write(body)
    })
  }

  #take(length: number): void {
    for (let left = length; left > 0;) {
      const first = this.#waiting[this.#head]
      if (first === undefined) throw new Error('more bytes than were asked for')
      const taken = Math.min(left, first.left)
      left -= taken
      if ((first.left -= taken) > 0) return
      first.resolve(undefined)
      this.#head++
      if (this.#head === 1024) this.#head = this.#waiting.splice(0, 1024).length - 1024
    }
  }
}

async function client(echoPath: string, sinkPath?: string) {
  const echoes = new Pipeline(await open(echoPath))
  const sinkSocket = sinkPath === undefined ? undefined : await open(sinkPath)
  const sinks = sinkSocket && new Pipeline(sinkSocket)
  let announced = false
  return {
    call(method: 'echo' | 'sink', body: Body): Promise<unknown> {
      const bytes = body as Uint8Array
      if (method === 'echo' || sinks === undefined) return echoes.send(bytes, bytes.length)
      if (!announced) {
        announced = true
        const size = Buffer.alloc(4)
        size.writeUInt32LE(bytes.length)
        sinkSocket?.write(size)
      }
      return sinks.send(bytes, 1)
    },
  }
}

/** What one publisher says goes to all subscribers. A publisher says P first, a subscriber S. */
function hub({ folder }: Place, relay: (data: Buffer, subscribers: readonly Send[]) => void): Promise<Server> {
  const subscribers: Send[] = []
  return listen(join(folder, HUB), (socket) => {
    socket.once('data', (first) => {
      if (first[0] === 0x53) {
        subscribers.push(corked(socket))
        socket.write('.')
      } else socket.on('data', (data) => relay(data, subscribers))
    })
  })
}

const fanout: Omit<Fanout, 'hub'> = {
  publisher: async ({ folder }) => {
    const socket = await open(join(folder, HUB))
    socket.write('P')
    await sleep(100) // the hub reads it by itself
    const write = corked(socket)
    const bytes = Buffer.alloc(MESSAGE_BYTES, 'm')
    return { publish: () => write(bytes) }
  },
  subscribe: async ({ folder }, deliver) => {
    const socket = await open(join(folder, HUB))
    socket.write('S')
    await once(socket, 'data')
    const same: Message = { n: 0, text: '' }
    let have = 0
    socket.on('data', (data) => {
      for (have += data.length; have >= MESSAGE_BYTES; have -= MESSAGE_BYTES) deliver(same)
    })
  },
}

/** A relay that does not know of messages: chunks go on as they came. */
export const bytes: Peer = {
  fanout: {
    ...fanout,
    hub: (place) => hub(place, (data, subscribers) => subscribers.forEach((send) => send(data))),
  },
}

export const peer: Peer = {
  rpc: {
    form: 'bytes',
    serve: (place) => Promise.all([echo(place), sink(place)]),
    connect: ({ folder }) => client(join(folder, ECHO), join(folder, SINK)),
  },
  fanout: {
    ...fanout,
    // Message by message, as a hub has to that looks at each; what one turn brings leaves together.
    hub: (place) => {
      let rest: Buffer = Buffer.alloc(0)
      return hub(place, (data, subscribers) => {
        const chunk = rest.length === 0 ? data : Buffer.concat([rest, data])
        let at = 0
        for (; chunk.length - at >= MESSAGE_BYTES; at += MESSAGE_BYTES) {
          const message = chunk.subarray(at, at + MESSAGE_BYTES)
          for (const send of subscribers) send(message)
        }
        rest = chunk.subarray(at)
      })
    },
  },
  streaming: {
    // The client says how many; items go out as long as the socket takes them.
    serve: ({ folder }) =>
      listen(join(folder, ECHO), (socket) => {
        const write = corked(socket)
        socket.on('data', (data) => {
          let left = data.readUInt32LE()
          const some = (): void => {
            for (let batch = 0; batch < 256 && left > 0; batch++, left--) write(ITEM)
            if (left === 0) return
            if (socket.writableNeedDrain) socket.once('drain', some)
            else setImmediate(some)
          }
          some()
        })
      }),
    connect: async ({ folder }) => {
      const socket = await open(join(folder, ECHO))
      return {
        stream: (count, deliver) =>
          new Promise((resolve) => {
            let have = 0
            let items = 0
            const take = (data: Buffer): void => {
              for (have += data.length; have >= ITEM.length; have -= ITEM.length) {
                deliver()
                items++
              }
              if (items < count) return
              socket.off('data', take)
              resolve(undefined)
            }
            socket.on('data', take)
            const request = Buffer.alloc(4)
            request.writeUInt32LE(count)
            socket.write(request)
          }),
      }
    },
  },
  relay: {
    // Bytes of each client go to the server, and back.
    hub: ({ folder }) =>
      listen(join(folder, HUB), (socket) => {
        const upstream = connect(join(folder, ECHO))
        socket.on('data', (data) => upstream.write(data))
        upstream.on('data', (data) => socket.write(data))
        upstream.on('error', () => socket.destroy())
      }),
    serve: echo,
    connect: ({ folder }) => client(join(folder, HUB)),
  },
}
