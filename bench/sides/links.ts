// Many connections of one process, all to one server.
import type { Caller } from '../peers/peer.ts'
import type { Commands } from '../support/side.ts'
import { quantile } from '../support/statistics.ts'
import { rpcOf, type PeerOptions } from './peer-side.ts'

/** Connections that are opened at once. */
const AT_ONCE = 16

export interface LinksOptions extends PeerOptions {
  readonly links: number
}

export async function start({ file, place, links }: LinksOptions): Promise<Commands> {
  const rpc = await rpcOf(file)
  const body = rpc.form === 'text' ? 'x'.repeat(64) : Buffer.alloc(64, 'x')
  const callers: Caller[] = []
  while (callers.length < links) {
    const some = Math.min(AT_ONCE, links - callers.length)
    callers.push(...(await Promise.all(Array.from({ length: some }, () => rpc.connect(place)))))
  }
  let next = 0
  const call = (): Promise<unknown> => {
    next = (next + 1) % callers.length
    return (callers[next] as Caller).call('echo', body)
  }
  return {
    /** The median in microseconds of calls over one link after the other. */
    async latency({ count }: { readonly count: number }): Promise<number> {
      const times = new Float64Array(count)
      for (let n = 0; n < count; n++) {
        const begin = performance.now()
        await call()
        times[n] = (performance.now() - begin) * 1000
      }
      return quantile(times, 0.5)
    },
    /** Makes so many calls, some at a time, over all links in turn. */
    async load({ count, inFlight }: { readonly count: number; readonly inFlight: number }): Promise<void> {
      let left = count
      const worker = async (): Promise<void> => {
        while (left-- > 0) await call()
      }
      await Promise.all(Array.from({ length: inFlight }, worker))
    },
  }
}
