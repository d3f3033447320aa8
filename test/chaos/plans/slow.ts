import { setTimeout as sleep } from 'node:timers/promises'
import { checkEvents } from '../checkers/events.ts'
import { fault } from '../checkers/fault.ts'
import type { Chaos } from '../support/chaos.ts'
import { PATIENCE_MS } from '../support/limits.ts'
import { Party } from '../support/party.ts'
import type { Random } from '../support/random.ts'
import { heldBytes, type Usage } from '../support/usage.ts'
import type { Worker } from '../support/worker.ts'

export interface SlowPlan {
  readonly batches: number
  readonly perBatch: number
  readonly bytes: number
  readonly publisherIsPrimary: boolean
  readonly overflow: 'drop-oldest' | 'drop-newest'
  readonly maxQueued: number
}

const FAST = 9
const WARM_UP = 2
/** What the memory of a primary that has filled the slow one's queue may still differ by between two looks. */
const SLACK_BYTES = 4 * 1024 * 1024
const MARKS = ['load.a']

interface Snapshot {
  readonly drops: number
  readonly counters: Readonly<Record<string, number>>
  readonly links: readonly { readonly pid: number; readonly dropped: number }[]
}

/** One subscriber is stopped while nine read: they get everything, and it learns exactly what it lost. */
export const slow: Chaos<SlowPlan> = {
  name: 'slow',
  rounds: 20,
  crew: () => FAST + 3,
  worker: { flags: ['--expose-gc'] },

  plan: (random: Random): SlowPlan => ({
    batches: random.whole(20, 40),
    perBatch: random.pick([500, 1000]),
    bytes: random.pick([0, 500, 2000]),
    publisherIsPrimary: random.chance(0.5),
    overflow: random.pick(['drop-oldest', 'drop-newest'] as const),
    maxQueued: random.pick([100, 1000, 2000]),
  }),

  async run(plan, round) {
    const party = new Party(round)
    let drops = 0
    try {
      drops = await play(plan, party)
      await party.leave()
    } finally {
      party.release()
    }
    const journals = party.journals()
    const { faults, figures } = checkEvents(journals)
    return { faults: [...party.faults, ...faults], figures: { ...figures, drops } }
  },
}

async function play(plan: SlowPlan, party: Party): Promise<number> {
  const workers = await party.recruit(FAST + 3)
  // The first to join is primary, and stays it.
  for (const worker of workers) await party.join(worker)
  await party.agree()
  const [primary, other, stopped, ...fast] = workers as [Worker, Worker, Worker, ...Worker[]]
  const publisher = plan.publisherIsPrimary ? primary : other
  const subscribe = { do: 'subscribe', s: 's', pattern: 'load.>' } as const
  for (const worker of fast) await party.ask(worker, { ...subscribe, maxQueued: 100_000 })
  await party.ask(stopped, { ...subscribe, maxQueued: plan.maxQueued, overflow: plan.overflow })
  const held: number[] = []
  let sent = 0
  for (let batch = 0; batch < plan.batches; batch++) {
    if (batch === WARM_UP) await stopped.stop()
    await party.ask(publisher, { do: 'publish', topic: 'load.a', count: plan.perBatch, bytes: plan.bytes })
    sent += plan.perBatch
    await allRead(party, fast, sent)
    if (party.faults.length > 0) break
    const usage = await party.ask<Usage>(primary, { do: 'usage' })
    if (usage !== undefined) held.push(heldBytes(usage))
  }
  stopped.cont()
  checkFlat(party, held)
  await party.settleEvents(MARKS)
  return checkDrops(party, primary, stopped, fast, sent)
}

async function allRead(party: Party, fast: readonly Worker[], sent: number): Promise<void> {
  const end = performance.now() + PATIENCE_MS
  for (const worker of fast) {
    for (;;) {
      const { received, missed } = (await progress(party, worker)) ?? { received: 0, missed: 0 }
      if (missed !== 0) party.faults.push(fault('lost', `${worker.name} lost ${missed}, though it reads`))
      if (received >= sent || party.faults.length > 0) break
      if (performance.now() > end) {
        party.faults.push(fault('hung', `${worker.name} has read ${received} of ${sent}`))
        return
      }
      await sleep(2)
    }
  }
}

function progress(party: Party, worker: Worker): Promise<{ received: number; missed: number } | undefined> {
  return party.ask(worker, { do: 'seen', marks: [] })
}

/** Once its queue is full, a stopped subscriber costs nothing more. */
function checkFlat(party: Party, held: readonly number[]): void {
  const half = Math.floor(held.length / 2)
  const early = Math.max(...held.slice(half, half + Math.ceil(half / 2)))
  const late = Math.min(...held.slice(-Math.ceil(half / 2)))
  if (late > early + SLACK_BYTES) {
    party.faults.push(fault('memory', `the primary grew from ${early} to ${late} bytes: ${held.join(' ')}`))
  }
}

async function checkDrops(
  party: Party,
  primary: Worker,
  stopped: Worker,
  fast: readonly Worker[],
  sent: number,
): Promise<number> {
  const { snapshot } = (await party.ask<{ snapshot: Snapshot }>(primary, { do: 'inspect' })) ?? {}
  const own =
    (await party.ask<{ snapshot: Snapshot }>(stopped, { do: 'inspect' }))?.snapshot.counters['own.dropped'] ?? 0
  const slowly = await progress(party, stopped)
  if (snapshot === undefined || slowly === undefined) return 0
  const all = Math.max(
    ...(await Promise.all(fast.map(async (worker) => (await progress(party, worker))?.received ?? 0))),
  )
  // Two queues have its bound: the switchboard's for it, and the one in its own process.
  const atHub = snapshot.links.find(({ pid }) => pid === stopped.pid)?.dropped ?? 0
  const lost = atHub + own
  const told = `${sent} sent, ${slowly.received} received, ${slowly.missed} told as missing, ${lost} counted as dropped`
  if (lost !== slowly.missed || snapshot.drops !== atHub)
    party.faults.push(fault('gap', `${told}, ${snapshot.drops} in all`))
  if (slowly.received + slowly.missed < sent || slowly.received + slowly.missed > all)
    party.faults.push(fault('gap', told))
  return lost
}
