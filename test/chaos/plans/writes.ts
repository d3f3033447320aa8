import { setTimeout as sleep } from 'node:timers/promises'
import type { Chaos } from '../support/chaos.ts'
import { Party } from '../support/party.ts'
import type { Random } from '../support/random.ts'
import { checkDatabase, DATABASE } from './database.ts'

interface Kill {
  readonly atMs: number
  readonly role: 'primary' | 'writer'
  readonly which: number
}

export interface WritesPlan {
  readonly writers: number
  /** Writes each of them has on the way. */
  readonly loops: readonly number[]
  readonly pauseMs: readonly number[]
  readonly kills: readonly Kill[]
  readonly tailMs: number
  /** Everybody is killed at the end: what was acknowledged is there all the same. */
  readonly crashAll: boolean
}

const WRITERS = 4
const LEAST_LEFT = 2

/** Four writers, one database, and kills at random moments. */
export const writes: Chaos<WritesPlan> = {
  name: 'writes',
  rounds: 200,
  crew: () => WRITERS + 2,

  plan(random: Random): WritesPlan {
    const loadMs = random.whole(50, 300)
    const kills = Array.from({ length: random.whole(1, WRITERS - LEAST_LEFT) }, () => ({
      atMs: random.whole(0, loadMs),
      role: random.chance(0.6) ? ('primary' as const) : ('writer' as const),
      which: random.whole(0, 99),
    }))
    return {
      writers: WRITERS,
      loops: Array.from({ length: WRITERS }, () => random.whole(1, 8)),
      pauseMs: Array.from({ length: WRITERS }, () => random.pick([0, 0, 1, 3])),
      kills: kills.sort((a, b) => a.atMs - b.atMs),
      tailMs: random.whole(0, 100),
      crashAll: random.chance(0.3),
    }
  },

  async run(plan, round) {
    const party = new Party(round)
    let survivors: ReadonlySet<string>
    try {
      await play(plan, party)
      survivors = plan.crashAll ? new Set() : party.survivors
      if (plan.crashAll) await Promise.all(party.alive.map((worker) => party.kill(worker)))
      else await party.leave()
    } finally {
      party.release()
    }
    const journals = party.journals()
    const { faults, figures } = checkDatabase(round, journals, survivors)
    return {
      faults: [...party.faults, ...party.checkPrimaries(journals), ...faults],
      figures: { ...figures, integrity: figures.integrity ? 0 : 1 },
    }
  },

  summary: (figures, faults) => ({
    acknowledged: figures['acknowledged'] ?? 0,
    lost: figures['lost'] ?? 0,
    duplicated: figures['duplicated'] ?? 0,
    phantom: figures['phantom'] ?? 0,
    integrity: (figures['integrity'] ?? 0) === 0 ? 'ok' : `${figures['integrity']} rounds`,
    unknown: figures['open'] ?? 0,
    twoPrimaries: faults['two-primaries'] ?? 0,
  }),
}

async function play(plan: WritesPlan, party: Party): Promise<void> {
  const workers = await party.recruit(plan.writers)
  await Promise.all(workers.map((worker) => party.join(worker, { options: DATABASE })))
  await party.agree()
  await Promise.all(
    workers.map((worker, i) => party.ask(worker, { do: 'load', writes: plan.loops[i], pauseMs: plan.pauseMs[i] })),
  )
  const begin = performance.now()
  for (const { atMs, role, which } of plan.kills) {
    await sleep(Math.max(0, atMs - (performance.now() - begin)))
    const primary = party.primary()
    const others = party.alive.filter((worker) => worker !== primary)
    const victim = role === 'primary' && primary !== undefined ? primary : others[which % others.length]
    if (victim !== undefined) await party.kill(victim)
  }
  await sleep(plan.tailMs)
  // In the midst of it, or when everything has settled.
  if (plan.crashAll) return
  await party.agree()
  await Promise.all(party.alive.map((worker) => party.ask(worker, { do: 'unload' })))
}
