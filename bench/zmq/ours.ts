import { setTimeout as sleep } from 'node:timers/promises'
import { Bus, Client } from 'conclave/zeromq'
import { Count, MARK, measured, nowUs, PARAMS, PAYLOAD, TOPIC, type Subject } from './subject.ts'

export const ours: Subject = {
  async serve(folder) {
    const bus = new Bus({ instanceId: 'bench', sendHighWaterMark: MARK, sendHighWaterBytes: 2 ** 31 - 1 })
    bus.registerMethod('echo', (params) => params)
    await bus.start({ pub: `ipc://${folder}/ours.pub`, rpc: `ipc://${folder}/ours.rpc` })
    return {
      async publish(count) {
        for (let n = 0; n < count; n++) await bus.publish(TOPIC, PAYLOAD)
      },
      async publishSlowly(count) {
        for (let n = 0; n < count; n++) {
          await bus.publish(TOPIC, { ...PAYLOAD, at: nowUs() })
          await sleep(1)
        }
      },
    }
  },

  async connect(folder) {
    const client = new Client()
    const rpc = `ipc://${folder}/ours.rpc`
    const events = await client.subscribe({ pub: `ipc://${folder}/ours.pub`, rpc }, [TOPIC], {
      receiveHighWaterMark: MARK,
    })
    const count = new Count()
    void (async () => {
      for await (const { payload } of events) count.take(payload)
    })()
    return {
      ...measured(() => client.call(rpc, 'echo', PARAMS)),
      expect: async (number) => count.expect(number),
      counted: () => count.counted,
      delays: async () => count.delay,
    }
  },
}
