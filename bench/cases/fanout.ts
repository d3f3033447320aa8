import { setTimeout as sleep } from 'node:timers/promises'
import { peerFile } from '../peers/index.ts'
import type { PublisherOptions } from '../sides/fanout-publisher.ts'
import type { SubscribersOptions } from '../sides/fanout-subscribers.ts'
import type { Case } from '../support/bench.ts'
import type { Processes, Side } from '../support/processes.ts'
import { cpuOf } from '../support/proc.ts'
import { placeFor } from './places.ts'
import { serve } from './rpc.ts'

const NAME = 'fanout'
const PEERS = ['node:net', 'node:net, bytes', 'conclave', 'nats', 'zeromq'] as const
const SUBSCRIBERS = [1, 8, 32] as const
/** Connections of subscribers in one process: 32 processes on a small machine would measure its scheduler. */
const A_PROCESS = 8
/** ZeroMQ has no answer to a subscription; the others are ready before. */
const SETTLE_MS = 500
/** Delivered messages of one run, over all subscribers; a multiple of what is credited at once, 256 x 32. */
const DELIVERED = 196_608

export const fanout: Case = {
  name: NAME,
  title: 'One publisher, a hub, 1, 8 and 32 subscribers: messages of 128 B JSON delivered a second',
  async run(bench) {
    for (const subscribers of SUBSCRIBERS.slice(0, bench.count(3, 2))) {
      await using processes = bench.processes()
      const count = bench.count(DELIVERED, 8192) / subscribers
      const subjects = await bench.start(
        NAME,
        Object.fromEntries(PEERS.map((peer) => [peer, () => measured(processes, peer, subscribers, count)])),
      )
      await sleep(SETTLE_MS)
      await bench.interleave(NAME, subjects, { unit: unitOf, rounds: bench.count(9, 2), warm: bench.count(2, 1) })
    }
  },
}

async function measured(processes: Processes, peer: string, subscribers: number, count: number) {
  const file = peerFile(peer)
  const place = await placeFor(processes, peer)
  const profiled = peer === 'conclave'
  const side = (module: string, options: object, label: string) =>
    processes.side(module, options, { label: `${file}-${label}-of-${subscribers}`, profiled })
  const hub = await serve(processes, peer, file, place, 'fanout-hub', { suffix: `-of-${subscribers}` })
  const publisher = await side(
    'fanout-publisher',
    { file, place, subscribers } satisfies PublisherOptions,
    'fanout-publisher',
  )
  const sides: Side[] = [hub, publisher]
  for (let first = 0; first < subscribers; first += A_PROCESS) {
    const length = Math.min(A_PROCESS, subscribers - first)
    const indexes = Array.from({ length }, (_, at) => first + at)
    const options = { file, place, indexes } satisfies SubscribersOptions
    sides.push(await side('fanout-subscribers', options, `fanout-subscribers-${first}`))
  }
  const pids = [...sides.map((side) => side.pid), ...(place.pid === undefined ? [] : [place.pid])]
  return async () => {
    const [perSecond, us] = await cpuOf(pids, () => publisher.ask<number>('burst', { count }))
    const cpu = us === undefined ? {} : { [`CPU an event to ${subscribers}`]: us / count }
    return { [`to ${subscribers}`]: perSecond, ...cpu }
  }
}

function unitOf(metric: string): string {
  return metric.startsWith('CPU') ? 'us' : '1/s'
}
