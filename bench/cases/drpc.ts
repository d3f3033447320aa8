import { join } from 'node:path'
import { requireProgram } from '../peers/index.ts'
import type { Case } from '../support/bench.ts'
import type { Processes } from '../support/processes.ts'

const NAME = 'drpc'
const BODY_BYTES = 16
/** Of a packet with such a body, as it travels. */
const PACKET_BYTES = 24 + 8 + BODY_BYTES
const LARGE_BYTES = 8 << 20
const SESSIONS = 100

const UNITS: Readonly<Record<string, string>> = { p50: 'us', 'calls/s': '1/s', lost: 'calls' }

export const drpc: Case = {
  name: NAME,
  title: `dRPC beside a C echo over the same kind of socket: calls of ${BODY_BYTES} B, bodies of 8 MiB, ${SESSIONS} sessions at once`,
  async run(bench) {
    await using processes = bench.processes()
    const count = bench.count(5000, 100)
    const path = join(processes.folder(), 'drpc.sock')
    await processes.side('drpc-server', { path }, { label: 'drpc-server', profiled: true, core: 0 })
    const client = await processes.side('drpc-client', { path }, { label: 'drpc-client', profiled: true, core: 1 })
    const subjects = await bench.start(NAME, {
      'C echo': () => cEcho(processes, count),
      conclave: async () => async () => {
        const bulk = { bytes: LARGE_BYTES, count: bench.count(10, 1) }
        const load = { sessions: bench.count(SESSIONS, 5), calls: bench.count(100, 10) }
        const p50 = await client.ask<number>('latency', { bytes: BODY_BYTES, count })
        const oneWay = await client.ask<number>('bulk', { ...bulk, way: 'sink' })
        const bothWays = await client.ask<number>('bulk', { ...bulk, way: 'echo' })
        const { perSecond, lost } = await client.ask<{ perSecond: number; lost: number }>('sessions', load)
        return { p50, 'one way': oneWay, 'there and back': bothWays, 'calls/s': perSecond, lost }
      },
    })
    await bench.interleave(NAME, subjects, {
      unit: (metric) => UNITS[metric] ?? 'MB/s',
      rounds: bench.count(9, 2),
      warm: bench.count(2, 1),
    })
  },
}

async function cEcho(processes: Processes, count: number) {
  requireProgram('cc')
  const echo = await processes.compile('echo')
  const path = join(processes.folder(), 'echo.sock')
  await processes.program(echo, ['server', 'seqpacket', path], { speaks: true, core: 0 })
  return async () => {
    const words = ['client', 'seqpacket', path, String(PACKET_BYTES), String(count)]
    return { p50: Number((await processes.execute(echo, words, 1)).split(' ')[0]) / 1000 }
  }
}
