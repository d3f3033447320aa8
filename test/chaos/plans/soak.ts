import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { checkCalls } from '../checkers/calls.ts'
import { checkEvents } from '../checkers/events.ts'
import { fault, type Fault } from '../checkers/fault.ts'
import type { Chaos, Figures, Round } from '../support/chaos.ts'
import { Party } from '../support/party.ts'
import { Random } from '../support/random.ts'
import { heldBytes, slopeOf, type Usage } from '../support/usage.ts'
import { SMALL_RING } from './churn.ts'
import { checkDatabase, DATABASE } from './database.ts'
import { election } from './election.ts'
import { events } from './events.ts'
import { failover } from './failover.ts'
import { writes } from './writes.ts'

export interface SoakPlan {
  readonly minutes: number
  /** The first numbers of the rounds that run beside what is measured. */
  readonly seed: number
}

const DEFAULT_MINUTES = 10
const STEADY = 3
const MIXED = { election, failover, events, writes } as const
/** A heap this young has not found its size. */
const WARM_UP_PART = 0.3
const SLACK_BYTES = 3 * 1024 * 1024

/** Everything mixed, beside three members that work all the time and must not grow. */
export const soak: Chaos<SoakPlan> = {
  name: 'soak',
  rounds: 1,
  crew: () => 12,
  worker: { flags: ['--expose-gc', '--max-old-space-size=48'] },

  plan: (random: Random, { minutes = DEFAULT_MINUTES }): SoakPlan => ({ minutes, seed: random.whole(0, 1e9) }),

  async run(plan, round) {
    const party = new Party(round)
    const faults: Fault[] = []
    const figures: Record<string, number> = {}
    let survivors: ReadonlySet<string>
    try {
      const steady = await party.recruit(STEADY)
      for (const worker of steady) await party.join(worker, { options: { ...DATABASE, ...SMALL_RING } })
      for (const worker of steady) {
        await party.ask(worker, { do: 'subscribe', s: 's', pattern: 'load.>' })
        await party.ask(worker, { do: 'load', calls: 2, events: 1, writes: 1, pauseMs: 20 })
      }
      const samples = steady.map((): [number, number][] => [])
      const begin = performance.now()
      const minutes = (): number => (performance.now() - begin) / 60_000
      for (let number = 1; minutes() < plan.minutes; number++) {
        faults.push(...(await mixedRound(plan, number, round, figures)))
        for (const [i, worker] of steady.entries()) {
          const usage = await party.ask<Usage>(worker, { do: 'usage' })
          if (usage !== undefined) samples[i]!.push([minutes(), heldBytes(usage)])
        }
      }
      await Promise.all(steady.map((worker) => party.ask(worker, { do: 'unload' })))
      await party.settleEvents(['load.a'])
      await party.agree()
      survivors = party.survivors
      figures['slopeKiBAMinute'] = Math.round(Math.max(...samples.map((points) => growth(points, faults))) / 1024)
      await party.leave()
    } finally {
      party.release()
    }
    const journals = party.journals()
    const checks = [checkCalls(journals, survivors), checkEvents(journals), checkDatabase(round, journals, survivors)]
    faults.push(...party.faults, ...party.checkPrimaries(journals), ...checks.flatMap((check) => check.faults))
    return { faults, figures }
  },
}

/** One round of another name, in a place of its own. */
async function mixedRound(
  { seed }: SoakPlan,
  number: number,
  round: Round,
  figures: Record<string, number>,
): Promise<readonly Fault[]> {
  const random = new Random(`soak ${seed} ${number}`)
  const chaos = MIXED[random.pick(Object.keys(MIXED) as (keyof typeof MIXED)[])] as Chaos
  const directory = join(round.directory, `${number}`)
  for (const part of ['', 'w', 'journals']) mkdirSync(join(directory, part), { mode: 0o700 })
  const plan = chaos.plan(random, { processes: 6 })
  const { faults, figures: own } = await chaos.run(plan, { ...round, number, directory })
  figures['rounds'] = (figures['rounds'] ?? 0) + 1
  const counted: Figures = own
  for (const name of ['acknowledged', 'answered', 'published', 'written', 'elections'] as const) {
    figures[name] = (figures[name] ?? 0) + (counted[name] ?? 0)
  }
  if (faults.length === 0) rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  return faults.map(({ kind, text }) => fault(kind, `${chaos.name}, round ${number} of seed ${seed}: ${text}`))
}

/** @returns bytes a minute */
function growth(points: readonly (readonly [number, number])[], faults: Fault[]): number {
  const settled = points.slice(Math.floor(points.length * WARM_UP_PART))
  if (settled.length < 3) return 0
  const slope = slopeOf(settled)
  const grown = slope * (settled.at(-1)![0] - settled[0]![0])
  if (grown > SLACK_BYTES)
    faults.push(fault('memory', `grew by ${Math.round(grown)} bytes: ${JSON.stringify(settled)}`))
  return slope
}
