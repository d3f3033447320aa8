// Ourselves, as the README says it is used.
import { join, type Member } from 'conclave'
import { WINDOW } from '../sides/fanout-credit.ts'
import type { Message, Peer, Place } from './peer.ts'

const methods = { echo: (body: unknown) => body, sink: () => null }
const secondary = ({ folder }: Place): Promise<Member> => join(folder, { primary: 'never', waitMs: 10_000 })

async function* items(count: number) {
  for (let n = 0; n < count; n++) yield { n, text: 'an item of the stream, such as a line' }
}

/** Of the called secondary of `relay`. */
const CALLEE = 'callee'

export const peer: Peer = {
  rpc: {
    form: 'text',
    bulkForm: 'bytes',
    serve: ({ folder }) => join(folder, { primary: 'must', methods }),
    connect: async (place) => {
      const member = await secondary(place)
      return { call: (method, body) => member.call(method, body) }
    },
  },
  fanout: {
    hub: ({ folder }) => join(folder, { primary: 'must' }),
    publisher: async (place) => {
      const member = await secondary(place)
      return { publish: (message) => member.publish('bench.fanout', message) }
    },
    subscribe: async (place, deliver) => {
      const member = await secondary(place)
      const hear = ({ data, missed }: { readonly data: unknown; readonly missed: number }): void => {
        if (missed > 0) throw new Error(`${missed} events were lost`)
        deliver(data as Message)
      }
      // A queue longer than what the case has under way: it measures delivery, not what is dropped.
      const subscription = member.on('bench.fanout', hear, { maxQueued: 2 * WINDOW })
      await subscription.ready
    },
  },
  streaming: {
    serve: ({ folder }) => join(folder, { primary: 'must', methods: { items } }),
    connect: async (place) => {
      const member = await secondary(place)
      return {
        stream: async (count, deliver) => {
          for await (const _ of member.stream('items', count)) deliver()
        },
      }
    },
  },
  relay: {
    hub: ({ folder }) => join(folder, { primary: 'must', methods }),
    serve: ({ folder }) => join(folder, { primary: 'never', waitMs: 10_000, name: CALLEE, methods }),
    connect: async (place) => {
      const member = await secondary(place)
      return { call: (method, body) => member.call(method, body, { to: { name: CALLEE } }) }
    },
  },
}
