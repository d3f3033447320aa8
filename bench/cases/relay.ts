import type { Latency } from '../sides/rpc-client.ts'
import type { Case } from '../support/bench.ts'
import type { Core, Side } from '../support/processes.ts'
import { placedBothWays, relayTrio, rpcPair } from './rpc.ts'

const NAME = 'relay'
const PEERS = ['node:net', 'conclave', 'nats'] as const
/** Beside the relayed calls, in the same rounds: a call of a secondary to the primary. */
export const DIRECT = 'conclave, direct'

export const relay: Case = {
  name: NAME,
  title: 'A call of one secondary to another, through the hub; 64 B, one in flight',
  async run(bench) {
    await using processes = bench.processes()
    const count = bench.count(3000, 100)
    const measured = (start: (core?: Core) => Promise<Side>) => () =>
      placedBothWays(start, async (client) => {
        const { p50, p99 } = await client.ask<Latency>('latency', { bytes: 64, count })
        return { p50, p99 }
      })
    const relayed = (peer: string) => measured((core) => relayTrio(processes, peer, core))
    const subjects = await bench.start(NAME, {
      ...Object.fromEntries(PEERS.map((peer) => [peer, relayed(peer)])),
      [DIRECT]: measured(async (core) => (await rpcPair(processes, 'conclave', core)).client),
    })
    await bench.interleave(NAME, subjects, { unit: 'us', rounds: bench.count(9, 2), warm: bench.count(3, 1) })
  },
}
