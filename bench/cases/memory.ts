import { setTimeout as sleep } from 'node:timers/promises'
import { peerFile } from '../peers/index.ts'
import type { LinksOptions } from '../sides/links.ts'
import { messageOf, type Bench, type Case } from '../support/bench.ts'
import { residentMiB } from '../support/proc.ts'
import { placeFor } from './places.ts'
import { serve } from './rpc.ts'

const NAME = 'memory'
const CLIENTS = ['conclave', 'zeromq', 'vscode-jsonrpc', 'grpc-js', 'nats', 'ws'] as const
const LINKS = 1000
/** A process has its memory when it has been quiet for so long. */
const SETTLE_MS = 1500

export const memory: Case = {
  name: NAME,
  title: 'Resident memory: of a connected process over a bare Node, and of a hub with 1,000 links',
  async run(bench) {
    await clients(bench)
    for (let round = 0; round < bench.count(5, 1); round++) {
      bench.options.log(`${NAME}: hub, round ${round + 1}`)
      await hub(bench, bench.count(LINKS, 20))
    }
  },
}

async function clients(bench: Bench): Promise<void> {
  const places = new Map<string, string[]>()
  await using processes = bench.processes()
  for (const peer of CLIENTS.filter((name) => bench.wants(name))) {
    try {
      const file = peerFile(peer)
      const place = await placeFor(processes, peer)
      await serve(processes, peer, file, place, 'rpc')
      places.set(peer, [peer, place.folder, place.url ?? ''])
    } catch (error) {
      bench.skip(NAME, peer, messageOf(error))
    }
  }
  const settleMs = bench.count(SETTLE_MS, 200)
  for (let round = 0; round < bench.count(7, 2); round++) {
    bench.options.log(`${NAME}: clients, round ${round + 1}`)
    const measure = async (args: string[]): Promise<number> => {
      const { child } = await processes.bare('stay', args)
      await sleep(settleMs)
      const value = residentMiB(child.pid ?? 0)
      child.kill('SIGKILL')
      return value
    }
    const bare = await measure(['bare Node', processes.directory])
    bench.add({ case: NAME, subject: 'bare Node', metric: 'a process' }, 'MiB', bare)
    for (const [peer, args] of places) {
      bench.add({ case: NAME, subject: peer, metric: 'over a bare Node' }, 'MiB', (await measure(args)) - bare)
    }
  }
}

async function hub(bench: Bench, links: number): Promise<void> {
  await using processes = bench.processes()
  const folder = processes.folder()
  const { child } = await processes.bare('stay', ['conclave, primary', folder])
  const options = { file: 'conclave', place: { folder }, links: links / 2 } satisfies LinksOptions
  await Promise.all([processes.side('links', options), processes.side('links', options)])
  await sleep(bench.count(SETTLE_MS, 200))
  const metric = `a hub with ${links.toLocaleString('en-US')} links`
  bench.add({ case: NAME, subject: 'conclave', metric }, 'MiB', residentMiB(child.pid ?? 0))
}
