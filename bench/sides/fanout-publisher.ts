import { once } from 'node:events'
import { createServer } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { join } from 'node:path'
import type { Commands } from '../support/side.ts'
import { CREDIT_EVERY, CREDIT_SOCKET, WINDOW } from './fanout-credit.ts'
import { fanoutOf, type PeerOptions } from './peer-side.ts'

/** A JSON message of 128 bytes for any number of five digits. */
const TEXT = 'x'.repeat(128 - '{"n":12345,"text":""}'.length)
const TURN = 128

export interface PublisherOptions extends PeerOptions {
  readonly subscribers: number
}

export async function start({ file, place, subscribers }: PublisherOptions): Promise<Commands> {
  const received = new Float64Array(subscribers)
  let wake = (): void => {}
  const server = createServer((socket) => {
    socket.on('data', (data) => {
      for (const index of data) received[index] = (received[index] ?? 0) + CREDIT_EVERY
      wake()
    })
  })
  server.listen(join(place.folder, CREDIT_SOCKET))
  await once(server, 'listening')
  const publisher = await (await fanoutOf(file)).publisher(place)
  let sent = 0

  const slowest = (): number => received.reduce((least, count) => Math.min(least, count), Infinity)
  const credit = (): Promise<void> =>
    new Promise((resolve) => {
      wake = resolve
    })

  return {
    /** Delivered a second, over all subscribers, until the last of them has everything. */
    async burst({ count }: { readonly count: number }): Promise<number> {
      const goal = sent + count
      const begin = performance.now()
      while (sent < goal) {
        const some = Math.min(goal - sent, slowest() + WINDOW - sent, TURN)
        if (some <= 0) {
          await credit()
          continue
        }
        for (let n = 0; n < some; n++) {
          sent++
          void publisher.publish({ n: 10_000 + (sent % 80_000), text: TEXT })
        }
        await turn()
      }
      while (slowest() < goal) await credit()
      return (count * subscribers) / ((performance.now() - begin) / 1000)
    },
  }
}
