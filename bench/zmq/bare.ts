// Plain zeromq.js, with the least code that does it: no deadlines, no checks, no bounds.
import { setTimeout as sleep } from 'node:timers/promises'
import { Dealer, Publisher, Router, Subscriber } from 'zeromq'
import { Count, MARK, measured, nowUs, PARAMS, PAYLOAD, TOPIC, type Subject } from './subject.ts'

const frame = (payload: unknown): string =>
  `${TOPIC}\0${JSON.stringify({
    instanceId: 'bench',
    projectId: '',
    topic: TOPIC,
    timestamp: new Date().toISOString(),
    payload,
  })}`

export const bare: Subject = {
  async serve(folder) {
    const publisher = new Publisher({ sendHighWaterMark: MARK })
    const router = new Router()
    await publisher.bind(`ipc://${folder}/bare.pub`)
    await router.bind(`ipc://${folder}/bare.rpc`)
    void answer(router)
    return {
      async publish(count) {
        for (let n = 0; n < count; n++) await publisher.send(frame(PAYLOAD))
      },
      async publishSlowly(count) {
        for (let n = 0; n < count; n++) {
          await publisher.send(frame({ ...PAYLOAD, at: nowUs() }))
          await sleep(1)
        }
      },
    }
  },

  async connect(folder) {
    const subscriber = new Subscriber({ receiveHighWaterMark: MARK })
    subscriber.connect(`ipc://${folder}/bare.pub`)
    subscriber.subscribe(TOPIC)
    const dealer = new Dealer()
    dealer.connect(`ipc://${folder}/bare.rpc`)
    const pending = new Map<string, (result: unknown) => void>()
    let calls = 0
    void (async () => {
      for await (const frames of dealer) {
        const { id, result } = JSON.parse((frames[1] as Buffer).toString()) as { id: string; result: unknown }
        pending.get(id)?.(result)
        pending.delete(id)
      }
    })()
    const count = new Count()
    void (async () => {
      for await (const [bytes] of subscriber) {
        const text = (bytes as Buffer).toString()
        count.take((JSON.parse(text.slice(text.indexOf('\0') + 1)) as { payload: unknown }).payload)
      }
    })()
    const call = (): Promise<unknown> =>
      new Promise((resolve) => {
        const id = `req-${++calls}`
        pending.set(id, resolve)
        void dealer.send([null, JSON.stringify({ jsonrpc: '2.0', id, method: 'echo', params: PARAMS })])
      })
    await call()
    await sleep(300) // its subscription is in force, by all likelihood
    return {
      ...measured(call),
      expect: async (events) => count.expect(events),
      counted: () => count.counted,
      delays: async () => count.delay,
    }
  },
}

async function answer(router: Router): Promise<void> {
  for await (const [peer, , text] of router) {
    const { id, params } = JSON.parse((text as Buffer).toString()) as { id: string; params: unknown }
    await router.send([peer as Buffer, null, JSON.stringify({ jsonrpc: '2.0', id, result: params })])
  }
}
