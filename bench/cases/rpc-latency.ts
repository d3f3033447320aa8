import { join } from 'node:path'
import { requireProgram } from '../peers/index.ts'
import type { Latency } from '../sides/rpc-client.ts'
import type { Case } from '../support/bench.ts'
import type { Processes } from '../support/processes.ts'
import { placedBothWays, rpcPair, RPC_PEERS } from './rpc.ts'

const NAME = 'rpc-latency'
const SIZES = [
  ['64 B', 64],
  ['4 KiB', 4096],
] as const

export const rpcLatency: Case = {
  name: NAME,
  title: 'A call and its answer, one in flight',
  async run(bench) {
    await using processes = bench.processes()
    const count = bench.count(3000, 100)
    const subjects = await bench.start(NAME, {
      'C echo': () => cEcho(processes, count),
      ...Object.fromEntries(RPC_PEERS.map((peer) => [peer, () => measured(processes, peer, count)])),
    })
    await bench.interleave(NAME, subjects, { unit: 'us', rounds: bench.count(9, 2), warm: bench.count(3, 1) })
  },
}

function measured(processes: Processes, peer: string, count: number) {
  return placedBothWays(
    (core) => rpcPair(processes, peer, core),
    ({ client }) => figures((bytes) => client.ask<Latency>('latency', { bytes, count })),
  )
}

/** What the kernel alone takes: two C programs with blocking calls. */
async function cEcho(processes: Processes, count: number) {
  requireProgram('cc')
  const echo = await processes.compile('echo')
  return placedBothWays(
    async (core) => {
      const path = join(processes.folder(), 'echo.sock')
      await processes.program(echo, ['server', 'stream', path], { speaks: true, core })
      return { path, core }
    },
    ({ path, core }) =>
      figures(async (bytes) => {
        const words = ['client', 'stream', path, String(bytes), String(count)]
        const text = await processes.execute(echo, words, core)
        const [p50 = Number.NaN, p99 = Number.NaN] = text.split(' ').map((word) => Number(word) / 1000)
        return { p50, p99 }
      }),
  )
}

async function figures(latency: (bytes: number) => Promise<Latency>): Promise<Record<string, number>> {
  const all: Record<string, number> = {}
  for (const [label, bytes] of SIZES) {
    const { p50, p99 } = await latency(bytes)
    all[`p50 ${label}`] = p50
    all[`p99 ${label}`] = p99
  }
  return all
}
