import { join } from 'node:path'
import type { MemberOptions } from '../sides/sqlite-member.ts'
import type { PlainOptions } from '../sides/sqlite-plain.ts'
import type { Durability, Writing } from '../sides/sqlite.ts'
import type { Bench, Case } from '../support/bench.ts'
import type { Processes, Side } from '../support/processes.ts'

const NAME = 'sqlite'
const WRITERS = 4
/** Of each writer, where it can have more than one. */
const IN_FLIGHT = 32
/** Of the single writer, and statements to a transaction of its peer. */
const PIPELINED = 256

export const sqlite: Case = {
  name: NAME,
  title: `Small inserts of ${WRITERS} processes, beside as many that open the file themselves (WAL, busy timeout 5 s); of one, beside transactions of ${PIPELINED}`,
  async run(bench) {
    for (const durability of ['full', 'normal'] as const) {
      await using processes = bench.processes()
      const subjects = await bench.start(NAME, {
        'node:sqlite': () => plain(bench, processes, durability),
        conclave: () => ours(bench, processes, durability),
      })
      await bench.interleave(NAME, subjects, { unit: unitOf, rounds: bench.count(7, 2), warm: 1 })
    }
  },
}

const UNITS: readonly [start: string, unit: string][] = [
  ['worst', 'ms'],
  ['slowest', 'ratio'],
  ['busy', 'writes'],
  ['calls', 'us'],
]

function unitOf(metric: string): string {
  return UNITS.find(([start]) => metric.startsWith(start))?.[1] ?? '1/s'
}

async function plain(bench: Bench, processes: Processes, durability: Durability) {
  const options = { file: join(processes.folder(), 'data.db'), durability } satisfies PlainOptions
  const sides: Side[] = []
  for (let n = 0; n < WRITERS; n++) sides.push(await processes.side('sqlite-plain', options))
  const forMs = bench.count(1000, 50)
  return async () => ({
    ...(await written(sides, forMs, 1, durability)),
    [`one writer, ${durability}`]: await sides[0]!.ask<number>('batched', { forMs: forMs / 2, batch: PIPELINED }),
  })
}

async function ours(bench: Bench, processes: Processes, durability: Durability) {
  const options = { folder: processes.folder(), durability } satisfies MemberOptions
  const sides: Side[] = []
  for (let n = 0; n < WRITERS; n++) {
    const label = `sqlite-${n === 0 ? 'primary' : `secondary-${n}`}-${durability}`
    sides.push(await processes.side('sqlite-member', options, { label, profiled: true }))
  }
  const caller = await processes.side('sqlite-member', options)
  const forMs = bench.count(1000, 50)
  const calls = { count: bench.count(2000, 50) }
  return async () => {
    const single = await written(sides, forMs, 1, durability)
    const many = await written(sides, forMs, IN_FLIGHT, durability)
    const pipelined = await sides[1]!.ask<number>('pipelined', { forMs: forMs / 2, inFlight: PIPELINED })
    const idle = await caller.ask<number>('calls', calls)
    const writing = Promise.all(sides.map((side) => side.ask('write', { forMs, inFlight: 1 })))
    const busy = await caller.ask<number>('calls', calls)
    await writing
    return {
      ...single,
      ...Object.fromEntries(
        Object.entries(many).map(([metric, value]) => [`${metric}, ${IN_FLIGHT} in flight`, value]),
      ),
      [`one writer, ${durability}`]: pipelined,
      [`calls p99 idle, ${durability}`]: idle,
      [`calls p99 while writes run, ${durability}`]: busy,
    }
  }
}

async function written(sides: readonly Side[], forMs: number, inFlight: number, durability: Durability) {
  const each = await Promise.all(sides.map((side) => side.ask<Writing>('write', { forMs, inFlight })))
  const writes = each.map((one) => one.writes)
  return {
    [`writes/s, ${durability}`]: writes.reduce((sum, count) => sum + count, 0) / (forMs / 1000),
    [`worst wait, ${durability}`]: Math.max(...each.map((one) => one.worstMs)),
    [`slowest over fastest, ${durability}`]: Math.min(...writes) / Math.max(1, ...writes),
    [`busy, ${durability}`]: each.reduce((sum, one) => sum + one.busy, 0),
  }
}
