import { setTimeout as sleep } from 'node:timers/promises'
import { checkEvents } from '../checkers/events.ts'
import type { Chaos } from '../support/chaos.ts'
import type { SubscribeCommand } from '../support/commands.ts'
import { Party } from '../support/party.ts'
import type { Random } from '../support/random.ts'

interface Step {
  readonly atMs: number
  readonly what: 'pause-subscriber' | 'pause-primary' | 'kill-primary' | 'hand-over' | 'kill-subscriber'
  readonly which: number
  readonly pauseMs: number
}

export interface EventsPlan {
  readonly processes: number
  readonly bursts: readonly {
    readonly worker: number
    readonly topic: string
    readonly count: number
    readonly bytes: number
    readonly atMs: number
  }[]
  readonly subscriptions: readonly (Omit<SubscribeCommand, 'do'> & { readonly worker: number })[]
  readonly steps: readonly Step[]
}

const TOPICS = ['a.x', 'a.y', 'b.x', 'b.y.z']
const PATTERNS = ['>', 'a.*', '*.x', 'b.>', 'a.x']
const MARKS = ['a.x', 'b.x']

/** Bursts for readers of every speed: all of it in order, or a gap that says exactly what is missing. */
export const events: Chaos<EventsPlan> = {
  name: 'events',
  rounds: 500,
  crew: () => 8,

  plan(random: Random): EventsPlan {
    const processes = random.whole(3, 6)
    const worker = (): number => random.whole(0, processes - 1)
    const lastsMs = random.whole(50, 400)
    const subscriptions = Array.from({ length: random.whole(3, 8) }, (_, i) => ({
      worker: worker(),
      s: `s${i}`,
      pattern: random.pick(PATTERNS),
      maxQueued: random.pick([1, 5, 50, 1000, 100_000]),
      overflow: random.pick(['drop-oldest', 'drop-oldest', 'drop-newest', 'disconnect'] as const),
      slowMs: random.pick([0, 0, 1, 2, 10]),
      slowEvery: random.pick([1, 10, 100]),
    }))
    const bursts = Array.from({ length: random.whole(5, 30) }, () => ({
      worker: worker(),
      topic: random.pick(TOPICS),
      count: random.pick([1, 1, 10, 100, 500]),
      bytes: random.pick([0, 0, 1000, 8000]),
      atMs: random.whole(0, lastsMs),
    }))
    const steps = Array.from({ length: random.whole(0, 2) }, (): Step => ({
      atMs: random.whole(0, lastsMs),
      what: random.weighted({
        'pause-subscriber': 40,
        'pause-primary': 15,
        'kill-primary': 20,
        'hand-over': 15,
        'kill-subscriber': 10,
      }),
      which: random.whole(0, 99),
      pauseMs: random.pick([10, 50, 200, 500]),
    }))
    return {
      processes,
      bursts: bursts.sort((a, b) => a.atMs - b.atMs),
      subscriptions,
      steps: steps.sort((a, b) => a.atMs - b.atMs),
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
    const { faults, figures } = checkEvents(journals)
    return { faults: [...party.faults, ...party.checkPrimaries(journals), ...faults], figures: { ...figures } }
  },

  summary: (figures, faults) => ({
    ...figures,
    lost: faults['lost'] ?? 0,
    duplicated: faults['duplicated'] ?? 0,
    outOfOrder: faults['order'] ?? 0,
    wrongGaps: faults['gap'] ?? 0,
  }),
}

async function play(plan: EventsPlan, party: Party): Promise<void> {
  const workers = await party.recruit(plan.processes)
  await Promise.all(workers.map((worker) => party.join(worker)))
  await party.agree()
  for (const { worker, ...subscription } of plan.subscriptions) {
    await party.ask(workers[worker]!, { do: 'subscribe', ...subscription })
  }
  const begin = performance.now()
  const wait = (atMs: number): Promise<unknown> => sleep(Math.max(0, atMs - (performance.now() - begin)))
  const publish = plan.bursts.map(async ({ worker, topic, count, bytes, atMs }) => {
    await wait(atMs)
    await party.ask(workers[worker]!, { do: 'publish', topic, count, bytes })
  })
  for (const step of plan.steps) {
    await wait(step.atMs)
    await disturb(step, party)
  }
  await Promise.all(publish)
  await party.agree()
  await party.settleEvents(MARKS)
}

async function disturb({ what, which, pauseMs }: Step, party: Party): Promise<void> {
  const primary = party.primary() ?? party.alive[0]!
  const others = party.alive.filter((worker) => worker !== primary)
  const other = others[which % others.length]!
  switch (what) {
    case 'pause-subscriber':
    case 'pause-primary': {
      const paused = what === 'pause-primary' ? primary : other
      await paused.stop()
      await sleep(pauseMs)
      return paused.cont()
    }
    case 'kill-primary':
      return party.kill(primary)
    case 'hand-over':
      return party.kill(primary, 'SIGTERM')
    case 'kill-subscriber':
      return party.kill(other)
  }
}
