import type { Throughput } from '../sides/rpc-client.ts'
import type { Case } from '../support/bench.ts'
import { rpcPair, RPC_PEERS } from './rpc.ts'

const NAME = 'big'
const BYTES = 1 << 20
/** So that the next body is on its way while one is answered. */
const IN_FLIGHT = 4

export const big: Case = {
  name: NAME,
  title: 'Bodies of 1 MiB one way, a short answer each, four in flight',
  async run(bench) {
    await using processes = bench.processes()
    const load = { bytes: BYTES, inFlight: IN_FLIGHT, forMs: bench.count(500, 50) }
    const starter = (peer: string) => async () => {
      const { client } = await rpcPair(processes, peer)
      return async () => {
        const { done, seconds } = await client.ask<Throughput>('bulk', load)
        return { bodies: (done * BYTES) / 1e9 / seconds }
      }
    }
    const subjects = await bench.start(NAME, Object.fromEntries(RPC_PEERS.map((peer) => [peer, starter(peer)])))
    await bench.interleave(NAME, subjects, { unit: 'GB/s', rounds: bench.count(7, 2), warm: bench.count(2, 1) })
  },
}
