import { peerFile } from '../peers/index.ts'
import type { LinksOptions } from '../sides/links.ts'
import type { Case } from '../support/bench.ts'
import type { Processes } from '../support/processes.ts'
import { placeFor } from './places.ts'
import { serve } from './rpc.ts'

const NAME = 'scale'
const PEERS = ['node:net', 'conclave', 'ws'] as const
const LINKS = [10, 100, 1000] as const
const IN_FLIGHT = 8

export const scale: Case = {
  name: NAME,
  title:
    'A server with 10, 100 and 1,000 links, calls over one of them or over all in turn: latency, and CPU of the server for each call',
  async run(bench) {
    await using processes = bench.processes()
    const links = LINKS.slice(0, bench.count(3, 2))
    const count = bench.count(5000, 200)
    const subjects = await bench.start(
      NAME,
      Object.fromEntries(PEERS.map((peer) => [peer, () => measured(processes, peer, links, count)])),
    )
    await bench.interleave(NAME, subjects, { unit: 'us', rounds: bench.count(9, 2), warm: bench.count(3, 1) })
  },
}

async function measured(processes: Processes, peer: string, all: readonly number[], count: number) {
  const file = peerFile(peer)
  const sides = await Promise.all(
    all.map(async (links) => {
      const place = await placeFor(processes, peer)
      const server = await serve(processes, peer, file, place, 'rpc', { suffix: `-of-${links}` })
      const side = (open: number) =>
        processes.side('links', { file, place, links: open } satisfies LinksOptions, {
          label: `${file}-links-${links}`,
        })
      return { links, server, many: await side(links - 1), one: await side(1) }
    }),
  )
  return async () => {
    const figures: Record<string, number> = {}
    for (const { links, server, many, one } of sides) {
      for (const [how, clients] of [
        ['one busy', one],
        ['all in turn', many],
      ] as const) {
        figures[`p50, ${how} of ${links}`] = await clients.ask<number>('latency', { count })
        const before = await server.ask<number>('cpu')
        await clients.ask('load', { count, inFlight: IN_FLIGHT })
        figures[`CPU, ${how} of ${links}`] = ((await server.ask<number>('cpu')) - before) / count
      }
    }
    return figures
  }
}
