import { setTimeout as sleep } from 'node:timers/promises'
import { checkCalls } from '../checkers/calls.ts'
import { checkEvents } from '../checkers/events.ts'
import { fault } from '../checkers/fault.ts'
import type { Chaos } from '../support/chaos.ts'
import type { LoadCommand, SubscribeCommand } from '../support/commands.ts'
import { PATIENCE_MS } from '../support/limits.ts'
import { Party } from '../support/party.ts'
import type { Random } from '../support/random.ts'
import type { Worker } from '../support/worker.ts'
import { checkDatabase, DATABASE } from './database.ts'

type How = 'SIGKILL' | 'SIGTERM' | 'pause' | 'exit' | 'exhaust'

interface Step {
  readonly atMs: number
  readonly what: 'fault' | 'late'
  readonly how: How
  readonly role: 'primary' | 'secondary'
  /** Which of those that fit. */
  readonly which: number
  readonly pauseMs: number
}

export interface FailoverPlan {
  readonly processes: number
  readonly loads: readonly Omit<LoadCommand, 'do'>[]
  readonly subscriptions: readonly (Omit<SubscribeCommand, 'do'> & { readonly worker: number })[]
  readonly steps: readonly Step[]
  readonly tailMs: number
  readonly unresponsiveMs: number | undefined
  readonly crashAll: boolean
}

const TOPICS = ['load.a', 'load.b', 'other.a']
const PATTERNS = ['load.>', 'load.*', 'load.a', '*.a', 'other.>']
/** One topic for each pattern above. */
const MARKS = ['load.a', 'other.a']
const LEAST_LEFT = 2
/** Small, so that a process that fills it soon dies; what a member needs is a tenth of it. */
const HEAP_FLAGS = ['--max-old-space-size=48']

/** Processes end in every way a process can end while calls, events and writes are on their way. */
export const failover: Chaos<FailoverPlan> = {
  name: 'failover',
  rounds: 500,
  crew: () => 9,
  worker: { flags: HEAP_FLAGS },

  plan(random: Random): FailoverPlan {
    const processes = random.whole(3, 6)
    const total = processes + 3
    const loads = Array.from({ length: total }, () => ({
      calls: random.whole(0, 3),
      events: random.whole(0, 2),
      writes: random.whole(0, 2),
      topics: TOPICS,
      burst: random.pick([1, 1, 5, 50]),
      bytes: random.pick([0, 0, 0, 3000]),
      pauseMs: random.pick([0, 1, 1, 5]),
    }))
    const subscriptions = Array.from({ length: random.whole(2, 5) }, (_, i) => ({
      worker: random.whole(0, processes - 1),
      s: `s${i}`,
      pattern: random.pick(PATTERNS),
      maxQueued: random.pick([10, 100, 1000, 100_000]),
      overflow: random.pick(['drop-oldest', 'drop-oldest', 'drop-newest'] as const),
      slowMs: random.pick([0, 0, 0, 1, 5]),
      slowEvery: random.pick([1, 10, 100]),
    }))
    const loadMs = random.whole(100, 400)
    const steps = Array.from({ length: random.whole(1, 4) }, (_, i): Step => {
      const how = random.weighted({ SIGKILL: 40, SIGTERM: 20, pause: 20, exit: 10, exhaust: 5 })
      return {
        atMs: random.whole(0, loadMs),
        what: i > 0 && random.chance(0.4) ? 'late' : 'fault',
        how,
        role: random.chance(0.7) ? 'primary' : 'secondary',
        which: random.whole(0, 99),
        pauseMs: random.pick([20, 100, 100, 300, 700]),
      }
    })
    return {
      processes,
      loads,
      subscriptions,
      steps: steps.sort((a, b) => a.atMs - b.atMs),
      tailMs: random.whole(0, 100),
      unresponsiveMs: random.chance(0.2) ? 200 : undefined,
      crashAll: random.chance(0.15),
    }
  },

  async run(plan, round) {
    const party = new Party(round)
    let survivors: ReadonlySet<string>
    try {
      await play(plan, party)
      survivors = party.survivors
      if (plan.crashAll) await Promise.all(party.alive.map((worker) => party.kill(worker)))
      else await party.leave()
    } finally {
      party.release()
    }
    const journals = party.journals()
    const calls = checkCalls(journals, survivors)
    const events = checkEvents(journals)
    const writes = checkDatabase(round, journals, survivors)
    return {
      faults: [...party.faults, ...party.checkPrimaries(journals), ...calls.faults, ...events.faults, ...writes.faults],
      figures: {
        answered: calls.figures.answered,
        unknownCalls: calls.figures.unknown,
        published: events.figures.acknowledged,
        seen: events.figures.seen,
        gaps: events.figures.gaps,
        missed: events.figures.missed,
        inexact: events.figures.inexact,
        written: writes.figures.acknowledged,
        ended: party.deaths.length,
      },
    }
  },

  summary: (figures, faults) => ({
    acknowledged: (figures['answered'] ?? 0) + (figures['published'] ?? 0) + (figures['written'] ?? 0),
    lost: faults['lost'] ?? 0,
    duplicated: faults['duplicated'] ?? 0,
    phantom: faults['phantom'] ?? 0,
    wrongGaps: faults['gap'] ?? 0,
    twoPrimaries: faults['two-primaries'] ?? 0,
    ...figures,
  }),
}

async function play(plan: FailoverPlan, party: Party): Promise<void> {
  const options = joinOptions(plan)
  const workers = await party.recruit(plan.processes)
  await Promise.all(workers.map((worker) => party.join(worker, { options })))
  await party.agree()
  for (const { worker, ...subscription } of plan.subscriptions) {
    await party.ask(workers[worker]!, { do: 'subscribe', ...subscription })
  }
  await Promise.all(workers.map((worker, i) => party.ask(worker, { do: 'load', ...load(plan, i) })))
  const begin = performance.now()
  for (const step of plan.steps) {
    await sleep(Math.max(0, step.atMs - (performance.now() - begin)))
    if (step.what === 'late') await arrive(plan, party)
    else await strike(step, party)
  }
  await sleep(plan.tailMs)
  for (const worker of party.alive) if (worker.stopped) worker.cont()
  await party.agree()
  await Promise.all(party.alive.map((worker) => party.ask(worker, { do: 'unload' })))
  await party.settleEvents(MARKS)
  // What was taken for settled may have been done by a process that fell since.
  await party.agree()
}

function joinOptions({ unresponsiveMs }: FailoverPlan): object {
  return { ...DATABASE, ...(unresponsiveMs === undefined ? {} : { limits: { unresponsiveMs } }) }
}

function load({ loads }: FailoverPlan, index: number): Omit<LoadCommand, 'do'> {
  return loads[index % loads.length]!
}

async function arrive(plan: FailoverPlan, party: Party): Promise<void> {
  const index = party.workers.length
  const [late] = await party.recruit(1)
  await party.join(late!, { options: joinOptions(plan) })
  await party.ask(late!, { do: 'load', ...load(plan, index) })
}

async function strike({ how, role, which, pauseMs }: Step, party: Party): Promise<void> {
  const primary = party.primary()
  const others = party.alive.filter((worker) => worker !== primary)
  const victim = role === 'primary' && primary !== undefined ? primary : others[which % others.length]
  if (victim === undefined || (how !== 'pause' && party.alive.length <= LEAST_LEFT)) return
  switch (how) {
    case 'SIGKILL':
      return party.kill(victim)
    case 'SIGTERM':
      return party.kill(victim, 'SIGTERM')
    case 'pause':
      await victim.stop()
      await sleep(pauseMs)
      return victim.cont()
    case 'exit':
      return exitInHandler(victim, party, which)
    case 'exhaust':
      party.expectDeath(victim)
      await party.ask(victim, { do: 'exhaust' })
      await ended(victim, party)
  }
}

/** Somebody else's call makes it end in the midst of answering. */
async function exitInHandler(victim: Worker, party: Party, which: number): Promise<void> {
  const others = party.alive.filter((worker) => worker !== victim)
  const caller = others[which % others.length]!
  const view = await party.ask<{ member: string }>(victim, { do: 'self' })
  if (view === undefined) return
  party.expectDeath(victim)
  await party.ask(caller, { do: 'call', method: 'exit', to: { id: view.member } })
  await ended(victim, party)
}

async function ended(victim: Worker, party: Party): Promise<void> {
  const late = sleep(PATIENCE_MS, 'late' as const, { ref: false })
  if ((await Promise.race([victim.exit, late])) !== 'late') return
  party.faults.push(fault('hung', `${victim.name} (${victim.pid}) did not end`))
  await victim.kill()
}
