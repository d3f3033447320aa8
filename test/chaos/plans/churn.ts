import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../support/index.ts'
import { fault } from '../checkers/fault.ts'
import type { Chaos } from '../support/chaos.ts'
import { PATIENCE_MS } from '../support/limits.ts'
import { Party } from '../support/party.ts'
import type { Random } from '../support/random.ts'
import { heldBytes, type Usage } from '../support/usage.ts'
import type { Worker } from '../support/worker.ts'

export interface ChurnPlan {
  /** Those that come and go, side by side. */
  readonly comers: number
  /** How often each does before the first look, and between the looks. */
  readonly warmUp: number
  readonly visits: number
  readonly how: 'close' | 'abort' | 'kill'
  readonly subscribes: boolean
  readonly publishes: boolean
}

/** What one visit may leave behind for good: a remembered publisher number is about 0.15 KiB, up to a bound. */
const BYTES_A_VISIT = 1024
const NOISE_BYTES = 512 * 1024

/** The replay ring is bounded, but far from full after so few events: it would hide a leak. */
export const SMALL_RING: object = { limits: { ringMaxCount: 16 } }

/** Members come and go without end; two stay, and must hold no more in the end than in the beginning. */
export const churn: Chaos<ChurnPlan> = {
  name: 'churn',
  rounds: 50,
  crew: () => 6,
  worker: { flags: ['--expose-gc'] },

  plan(random: Random): ChurnPlan {
    const how = random.weighted({ close: 60, abort: 20, kill: 20 })
    return {
      comers: random.whole(1, 4),
      warmUp: how === 'kill' ? 2 : 20,
      visits: how === 'kill' ? random.whole(2, 4) : random.whole(50, 150),
      how,
      subscribes: random.chance(0.7),
      publishes: random.chance(0.7),
    }
  },

  async run(plan, round) {
    const party = new Party(round)
    try {
      await play(plan, party)
      await party.leave()
    } finally {
      party.release()
    }
    const journals = party.journals()
    return {
      faults: [...party.faults, ...party.checkPrimaries(journals)],
      figures: { visits: plan.comers * (plan.warmUp + plan.visits) },
    }
  },
}

interface Look {
  readonly files: readonly string[]
  readonly usages: readonly (Usage | undefined)[]
}

async function play(plan: ChurnPlan, party: Party): Promise<void> {
  const stayers = await party.recruit(2)
  for (const worker of stayers) await party.join(worker, { options: SMALL_RING })
  for (const worker of stayers) await party.ask(worker, { do: 'subscribe', s: 's', pattern: '>' })
  await party.agree()
  await visit(plan, party, plan.warmUp)
  const before = await look(party, stayers)
  await visit(plan, party, plan.visits)
  const after = await look(party, stayers)
  for (const [i, worker] of stayers.entries()) compare(plan, party, worker, before.usages[i], after.usages[i])
  if (before.files.join() !== after.files.join()) {
    party.faults.push(fault('leak', `files: ${before.files.join(' ')}, then ${after.files.join(' ')}`))
  }
}

async function visit(plan: ChurnPlan, party: Party, times: number): Promise<void> {
  const comeAndGo = async (): Promise<void> => {
    let [worker] = await party.recruit(1)
    for (let i = 0; i < times; i++) {
      await party.join(worker!)
      if (plan.subscribes) await party.ask(worker!, { do: 'subscribe', s: 's', pattern: 'load.>' })
      await party.ask(worker!, { do: 'call', method: 'work', to: 'primary' })
      if (plan.publishes) await party.ask(worker!, { do: 'publish', topic: 'load.a', count: 3 })
      if (plan.how !== 'kill') await party.ask(worker!, { do: 'leave', how: plan.how })
      else {
        await party.kill(worker!)
        ;[worker] = await party.recruit(1)
      }
    }
    if (plan.how === 'kill') await party.kill(worker!)
  }
  await Promise.all(Array.from({ length: plan.comers }, comeAndGo))
}

/** When only those that stay are left. */
async function look(party: Party, stayers: readonly Worker[]): Promise<Look> {
  const gone = async (): Promise<boolean> => {
    const answer = await party.ask<{ snapshot: { members: unknown[]; links: unknown[] } }>(stayers[0]!, {
      do: 'inspect',
    })
    const { members = [], links = [] } = answer?.snapshot ?? {}
    return members.length === stayers.length && links.length === stayers.length
  }
  try {
    await until(gone, 'those who left to be forgotten', { limitMs: PATIENCE_MS })
  } catch (error) {
    party.faults.push(fault('leak', String(error)))
  }
  const { directory, runtime } = party.round
  const files = [join(directory, 'w', '.conclave'), join(runtime, 'conclave')].map((path) =>
    existsSync(path) ? String(readdirSync(path).length) : '0',
  )
  const usages: (Usage | undefined)[] = []
  for (const worker of stayers) usages.push(await party.ask<Usage>(worker, { do: 'usage' }))
  return { files, usages }
}

function compare(plan: ChurnPlan, party: Party, { name }: Worker, before?: Usage, after?: Usage): void {
  if (before === undefined || after === undefined) return
  for (const what of ['descriptors', 'listeners'] as const) {
    if (after[what] > before[what])
      party.faults.push(fault('leak', `${name}: ${before[what]} ${what}, then ${after[what]}`))
  }
  // Those that did not say goodbye are expected back for a minute.
  if (plan.how !== 'close') return
  const grown = heldBytes(after) - heldBytes(before)
  const visits = plan.comers * plan.visits
  if (grown > NOISE_BYTES + BYTES_A_VISIT * visits) {
    party.faults.push(fault('memory', `${name} grew by ${grown} bytes over ${visits} visits`))
  }
}
