// zeromq 6 over ipc: DEALER and ROUTER for calls (the guide's way to have many in flight), XSUB/XPUB proxy for events.
import { join } from 'node:path'
import { Dealer, Proxy, Publisher, Router, Subscriber, XPublisher, XSubscriber } from 'zeromq'
import type { Peer, Place } from './peer.ts'

const address = ({ folder }: Place, name: string): string => `ipc://${join(folder, name)}`
/** Without a bound of its own, so that nothing is refused; the cases bound what is under way. */
const UNBOUNDED = { sendHighWaterMark: 0, receiveHighWaterMark: 0 }
type Frames = (Uint8Array | string)[]
const ANSWER = Buffer.from('.')

/** A socket takes one send at a time: while one waits, the others queue here. */
function sender(socket: { send(frames: Frames): Promise<void> }): (frames: Frames) => Promise<void> | undefined {
  const queue: Frames[] = []
  let busy = false
  return (frames) => {
    queue.push(frames)
    if (busy) return undefined
    busy = true
    return (async () => {
      for (let next = queue.shift(); next !== undefined; next = queue.shift()) await socket.send(next)
      busy = false
    })()
  }
}

export const peer: Peer = {
  rpc: {
    form: 'bytes',
    serve: async (place) => {
      const socket = new Router(UNBOUNDED)
      await socket.bind(address(place, 'rpc'))
      void (async () => {
        for await (const [caller, id, method, body] of socket) {
          await socket.send([caller!, id!, method?.[0] === 0x65 ? body! : ANSWER])
        }
      })()
    },
    connect: async (place) => {
      const socket = new Dealer(UNBOUNDED)
      socket.connect(address(place, 'rpc'))
      const send = sender(socket)
      const waiting = new Map<number, (body: Buffer) => void>()
      let last = 0
      void (async () => {
        for await (const [id, body] of socket) {
          const key = id!.readUInt32LE()
          waiting.get(key)?.(body!)
          waiting.delete(key)
        }
      })()
      return {
        call: (method, body) =>
          new Promise((resolve, reject) => {
            const id = Buffer.allocUnsafe(4)
            last = (last + 1) % 0xffff_ffff
            id.writeUInt32LE(last)
            waiting.set(last, resolve)
            send([id, method, body])?.catch(reject)
          }),
      }
    },
  },
  fanout: {
    hub: async (place) => {
      const [frontend, backend] = [
        new XSubscriber({ receiveHighWaterMark: 0 }),
        new XPublisher({ sendHighWaterMark: 0 }),
      ]
      await frontend.bind(address(place, 'in'))
      await backend.bind(address(place, 'out'))
      void new Proxy(frontend, backend).run()
    },
    publisher: async (place) => {
      const socket = new Publisher({ sendHighWaterMark: 0 })
      socket.connect(address(place, 'in'))
      const send = sender(socket)
      return { publish: (message) => send(['bench', JSON.stringify(message)]) }
    },
    subscribe: async (place, deliver) => {
      const socket = new Subscriber({ receiveHighWaterMark: 0 })
      socket.connect(address(place, 'out'))
      socket.subscribe('bench')
      void (async () => {
        for await (const [, body] of socket) deliver(JSON.parse(body!.toString()))
      })()
    },
  },
}
