import type { Body, Caller } from '../peers/peer.ts'
import type { Commands } from '../support/side.ts'
import { quantile } from '../support/statistics.ts'
import { type PeerOptions, relayOf, rpcOf } from './peer-side.ts'

export interface RpcClientOptions extends PeerOptions {
  readonly role: 'rpc' | 'relay'
}

export interface Latency {
  readonly p50: number
  readonly p99: number
}

export async function start({ file, place, role }: RpcClientOptions): Promise<Commands> {
  const rpc = role === 'rpc' ? await rpcOf(file) : undefined
  const caller = rpc === undefined ? await (await relayOf(file)).connect(place) : await rpc.connect(place)
  const form = rpc?.form ?? (file === 'conclave' ? 'text' : 'bytes')
  const bulkForm = rpc?.bulkForm ?? form
  return {
    latency: ({ bytes, count }: { readonly bytes: number; readonly count: number }) =>
      latency(caller, bodyOf(form, bytes), count),
    throughput: ({ bytes, inFlight, forMs }: Load): Promise<Throughput> =>
      throughput(caller, 'echo', bodyOf(form, bytes), inFlight, forMs),
    bulk: ({ bytes, inFlight, forMs }: Load) => throughput(caller, 'sink', bodyOf(bulkForm, bytes), inFlight, forMs),
  }
}

export interface Load {
  readonly bytes: number
  readonly inFlight: number
  readonly forMs: number
}

function bodyOf(form: 'text' | 'bytes', bytes: number): Body {
  return form === 'text' ? 'x'.repeat(bytes) : Buffer.alloc(bytes, 'x')
}

/** Microseconds, one call after the other. */
async function latency(caller: Caller, body: Body, count: number): Promise<Latency> {
  const times = new Float64Array(count)
  for (let n = 0; n < count; n++) {
    const begin = performance.now()
    await caller.call('echo', body)
    times[n] = (performance.now() - begin) * 1000
  }
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
}

export interface Throughput {
  readonly done: number
  readonly seconds: number
}

/** Each answer begins the next call, as programs do. */
async function throughput(
  caller: Caller,
  method: 'echo' | 'sink',
  body: Body,
  inFlight: number,
  forMs: number,
): Promise<Throughput> {
  let done = 0
  const begin = performance.now()
  const end = begin + forMs
  const worker = async (): Promise<void> => {
    while (performance.now() < end) {
      await caller.call(method, body)
      done++
    }
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
  return { done, seconds: (performance.now() - begin) / 1000 }
}
