import { ClientConnection } from 'conclave/drpc'
import type { Commands } from '../support/side.ts'
import { median } from '../support/statistics.ts'

const MODULE = 42
const ECHO = 1
const SINK = 2

export async function start({ path }: { readonly path: string }): Promise<Commands> {
  const client = new ClientConnection(path)
  await client.connect()
  return {
    /** The median round trip in microseconds. */
    async latency({ bytes, count }: { readonly bytes: number; readonly count: number }): Promise<number> {
      const call = { module: MODULE, method: ECHO, body: new Uint8Array(bytes) }
      const times = new Float64Array(count)
      for (let n = 0; n < count; n++) {
        const begin = performance.now()
        await client.sendMsg(call)
        times[n] = (performance.now() - begin) * 1000
      }
      return median(times)
    },
    /** MB of bodies a second, one way or there and back (each body counted once). */
    async bulk({ bytes, count, way }: { readonly bytes: number; readonly count: number; readonly way: string }) {
      const call = { module: MODULE, method: way === 'echo' ? ECHO : SINK, body: new Uint8Array(bytes) }
      const begin = performance.now()
      for (let n = 0; n < count; n++) await client.sendMsg(call)
      return (count * bytes) / 1e6 / ((performance.now() - begin) / 1000)
    },
    /** Many connections at once: answered calls a second, and how many were not answered as they should. */
    async sessions({ sessions, calls }: { readonly sessions: number; readonly calls: number }) {
      const clients = Array.from({ length: sessions }, () => new ClientConnection(path))
      await Promise.all(clients.map((one) => one.connect()))
      let answered = 0
      const begin = performance.now()
      await Promise.all(
        clients.map(async (one, index) => {
          const body = new Uint8Array(16).fill(index)
          for (let n = 0; n < calls; n++) {
            const response = await one.sendMsg({ module: MODULE, method: ECHO, body })
            if (response.status === 0 && response.body.every((byte) => byte === index)) answered++
          }
        }),
      )
      const seconds = (performance.now() - begin) / 1000
      await Promise.all(clients.map((one) => one.close()))
      return { perSecond: answered / seconds, lost: sessions * calls - answered }
    },
  }
}
