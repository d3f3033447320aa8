import type { Throughput } from '../sides/rpc-client.ts'
import type { Case } from '../support/bench.ts'
import { cpuOf } from '../support/proc.ts'
import { rpcPair, RPC_PEERS } from './rpc.ts'

const NAME = 'rpc-throughput'
const IN_FLIGHT = 128

export const rpcThroughput: Case = {
  name: NAME,
  title: 'Calls a second, 128 in flight, 64 B',
  async run(bench) {
    await using processes = bench.processes()
    const load = { bytes: 64, inFlight: IN_FLIGHT, forMs: bench.count(500, 50) }
    const starter = (peer: string) => async () => {
      const { client, pids } = await rpcPair(processes, peer)
      return async () => {
        const [{ done, seconds }, us] = await cpuOf(pids, () => client.ask<Throughput>('throughput', load))
        return { 'calls/s': done / seconds, ...(us === undefined ? {} : { 'CPU a call': us / done }) }
      }
    }
    const subjects = await bench.start(NAME, Object.fromEntries(RPC_PEERS.map((peer) => [peer, starter(peer)])))
    await bench.interleave(NAME, subjects, { unit: unitOf, rounds: bench.count(9, 2), warm: bench.count(3, 1) })
  },
}

function unitOf(metric: string): string {
  return metric.startsWith('CPU') ? 'us' : '1/s'
}
