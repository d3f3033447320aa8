import { setTimeout as sleep } from 'node:timers/promises'
import { messageOf, type Case } from '../support/bench.ts'
import { cpuMicroseconds } from '../support/proc.ts'
import { peerFile } from '../peers/index.ts'
import type { Processes } from '../support/processes.ts'
import { placeFor } from './places.ts'

const NAME = 'idle'
const MEMBERS = 20
const WINDOWS = 5
const WINDOW_MS = 12_000
/** Compilers and collectors come to rest before. */
const SETTLE_MS = 5000

export const idle: Case = {
  name: NAME,
  title: '20 processes that are connected and do nothing, a minute in five windows: CPU of all of them and their hub',
  async run(bench) {
    await using processes = bench.processes()
    const members = bench.count(MEMBERS, 3)
    const groups = new Map<string, readonly number[]>()
    for (const peer of ['bare Node', 'conclave', 'nats'].filter((name) => bench.wants(name))) {
      try {
        groups.set(peer, await group(processes, peer, members))
      } catch (error) {
        bench.skip(NAME, peer, messageOf(error))
      }
    }
    await sleep(bench.count(SETTLE_MS, 100))
    const windows = bench.count(WINDOWS, 2)
    for (let window = 0; window < windows; window++) {
      bench.options.log(`${NAME}: window ${window + 1} of ${windows}`)
      const begin = performance.now()
      const before = [...groups.values()].map(microseconds)
      await sleep(bench.count(WINDOW_MS, 200))
      const us = (performance.now() - begin) * 1000
      ;[...groups].forEach(([subject, pids], at) => {
        const used = (microseconds(pids) - (before[at] ?? 0)) / us
        bench.add({ case: NAME, subject, metric: `CPU of ${members}` }, '% of a core', used * 100)
      })
    }
  },
}

function microseconds(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuMicroseconds(pid), 0)
}

/** The processes of one subject: members of which one is the hub; clients and their server. */
async function group(processes: Processes, peer: string, members: number): Promise<number[]> {
  if (peer !== 'bare Node') peerFile(peer)
  const place = await placeFor(processes, peer)
  const pids = place.pid === undefined ? [] : [place.pid]
  for (let n = 0; n < members; n++) {
    const role = peer === 'conclave' && n === 0 ? 'conclave, primary' : peer
    const { child } = await processes.bare('stay', [role, place.folder, place.url ?? ''])
    pids.push(child.pid ?? 0)
  }
  return pids
}
