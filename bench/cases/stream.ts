import { peerFile } from '../peers/index.ts'
import type { Case } from '../support/bench.ts'
import type { Processes } from '../support/processes.ts'
import { placeFor } from './places.ts'
import { serve } from './rpc.ts'

const NAME = 'stream'
const PEERS = ['node:net', 'conclave', 'vscode-jsonrpc', 'grpc-js'] as const

export const stream: Case = {
  name: NAME,
  title: 'Items of one result stream a second, some 60 B each',
  async run(bench) {
    await using processes = bench.processes()
    const count = bench.count(20_000, 500)
    const subjects = await bench.start(
      NAME,
      Object.fromEntries(PEERS.map((peer) => [peer, () => measured(processes, peer, count)])),
    )
    await bench.interleave(NAME, subjects, { unit: '1/s', rounds: bench.count(9, 2), warm: bench.count(3, 1) })
  },
}

async function measured(processes: Processes, peer: string, count: number) {
  const file = peerFile(peer)
  const place = await placeFor(processes, peer)
  await serve(processes, peer, file, place, 'streaming')
  const profiled = peer === 'conclave'
  const client = await processes.side('stream-client', { file, place }, { label: `${file}-stream-client`, profiled })
  return async () => ({ 'items/s': await client.ask<number>('stream', { count }) })
}
