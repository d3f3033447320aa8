import { mkdirSync, renameSync, rmSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../../support/index.ts'
import { fault } from '../checkers/fault.ts'
import type { Chaos, Round } from '../support/chaos.ts'
import { now } from '../support/clock.ts'
import { PATIENCE_MS } from '../support/limits.ts'
import { makeRoom, mountFull, unmount } from '../support/mount.ts'
import { Party } from '../support/party.ts'
import type { Random } from '../support/random.ts'

type Kind =
  /** All join, nothing else happens. */
  | 'start'
  /** So, by processes that have just been started. */
  | 'fresh'
  /** Whoever holds the seat is killed, up to three times. */
  | 'dying-holder'
  /** One is killed while it joins. */
  | 'dying-joiner'
  /** The primary leaves in order. */
  | 'hand-over'
  /** The primary's member is aborted; its process lives on, and joins anew. */
  | 'aborted-holder'
  /** The primary is stopped for a while; nobody may take its place. */
  | 'stopped-holder'
  | 'lock-deleted'
  | 'lock-replaced'
  | 'directory-moved'
  | 'directory-deleted'
  /** No room for a socket, until there is. */
  | 'full-runtime'
  /** Hundreds of files lie where the sockets are made. */
  | 'crowded-runtime'

interface Step {
  /** After the first may join; or after all agree, when `settled`. */
  readonly atMs: number
  readonly settled: boolean
}

export interface ElectionPlan {
  readonly kind: Kind
  /** For each process, microseconds after the common start. */
  readonly jitterUs: readonly number[]
  readonly steps: readonly Step[]
  /** Which of the others, where the holder is not meant. */
  readonly victim: number
  readonly stopMs: number
  readonly slowStopMs: number | undefined
  readonly leave: 'close' | 'abort'
  /** The first holder is killed before anything else, so that terms are above 1. */
  readonly killFirst: boolean
}

const DEFAULT_PROCESSES = 8
const LEAD_MS = 5
const CROWD = 300

const WEIGHTS: Readonly<Record<Kind, number>> = {
  start: 25,
  fresh: 2,
  'dying-holder': 28,
  'dying-joiner': 10,
  'hand-over': 12,
  'aborted-holder': 4,
  'stopped-holder': 4,
  'lock-deleted': 4,
  'lock-replaced': 4,
  'directory-moved': 2,
  'directory-deleted': 2,
  'full-runtime': 4,
  'crowded-runtime': 3,
}

/** Who is primary when many start at once and whoever wins is done away with. */
export const election: Chaos<ElectionPlan> = {
  name: 'election',
  rounds: 1000,
  crew: ({ processes = DEFAULT_PROCESSES }) => processes + Math.min(4, processes),

  plan(random: Random, { processes = DEFAULT_PROCESSES }): ElectionPlan {
    const kind = random.weighted(WEIGHTS)
    const spreadUs = random.pick([0, 300, 2000, 10_000, 40_000])
    const jitterUs = Array.from({ length: processes }, () => random.whole(0, spreadUs))
    const many = kind === 'dying-holder' ? random.whole(1, Math.min(3, processes - 1)) : 1
    const settled = random.chance(0.5)
    const step = (): Step => ({ atMs: random.whole(0, settled ? 20 : 40 + spreadUs / 1000), settled })
    return {
      kind,
      jitterUs,
      steps: Array.from({ length: many }, step).sort((a, b) => a.atMs - b.atMs),
      victim: random.whole(0, processes - 1),
      stopMs: random.whole(50, 400),
      slowStopMs: random.chance(0.3) ? random.pick([1, 10, 30, 200]) : undefined,
      leave: random.chance(0.8) ? 'close' : 'abort',
      killFirst: (kind.startsWith('lock') || kind.startsWith('directory')) && settled && random.chance(0.5),
    }
  },

  async run(plan, round) {
    const party = new Party(round)
    const runtime = ownRuntime(plan.kind, round)
    try {
      await play(plan, party, runtime)
      await party.leave(plan.leave)
    } finally {
      if (runtime?.mounted === true) unmount(runtime.path)
      party.release()
    }
    const journals = party.journals()
    const faults = [...party.faults, ...party.checkPrimaries(journals)]
    const begun = party.testimony().filter(({ k }) => k === 'begin').length
    return { faults, figures: { elections: begun, killed: party.deaths.length, views: party.views.length } }
  },

  summary: (figures, faults) => ({
    twoPrimaries: faults['two-primaries'] ?? 0,
    noPrimary: faults['no-primary'] ?? 0,
    ...figures,
  }),
}

interface Runtime {
  readonly path: string
  readonly mounted: boolean
}

async function play(plan: ElectionPlan, party: Party, runtime: Runtime | undefined): Promise<void> {
  const { kind, jitterUs, steps, slowStopMs } = plan
  const workers = await party.recruit(jitterUs.length, kind === 'fresh')
  const start = now() + LEAD_MS * 1000
  const joining = Promise.all(
    workers.map((worker, i) =>
      party.join(worker, {
        at: start + jitterUs[i]!,
        slowStopMs,
        // A socket cannot be made, or the workspace goes from under its feet: it tries again, as its user would.
        persistent:
          runtime?.mounted === true ||
          party.removals.length > 0 ||
          kind.startsWith('lock') ||
          kind.startsWith('directory'),
        ...(runtime === undefined ? {} : { runtime: runtime.path }),
      }),
    ),
  )
  const settled = steps[0]?.settled === true && runtime?.mounted !== true
  if (settled) {
    await joining
    await party.agree()
    if (plan.killFirst) {
      await party.kill(party.primary()!)
      await party.agree()
    }
  }
  const from = performance.now()
  for (const { atMs } of steps) {
    await sleep(Math.max(0, atMs + (settled ? 0 : LEAD_MS) - (performance.now() - from)))
    await interfere(plan, party, runtime)
  }
  await joining
  await party.agree()
}

async function interfere(plan: ElectionPlan, party: Party, runtime: Runtime | undefined): Promise<void> {
  const { kind, victim, stopMs } = plan
  const holder = (): (typeof party.workers)[number] => party.primary() ?? party.alive[victim % party.alive.length]!
  const workspace = join(party.round.directory, 'w')
  switch (kind) {
    case 'start':
    case 'fresh':
    case 'crowded-runtime':
      return
    case 'full-runtime':
      if (runtime?.mounted !== true) return
      await until(() => refusals(party) > 0, 'a member to be refused a socket', { limitMs: PATIENCE_MS })
      return makeRoom(runtime.path)
    case 'dying-holder':
      return party.kill(holder())
    case 'dying-joiner':
      return party.kill(party.workers[victim]!)
    case 'hand-over': {
      const primary = party.primary()
      return primary === undefined ? undefined : party.kill(primary, 'SIGTERM')
    }
    case 'aborted-holder': {
      const primary = party.primary()
      if (primary === undefined) return
      await party.ask(primary, { do: 'leave', how: 'abort' })
      await party.join(primary, { slowStopMs: plan.slowStopMs })
      return
    }
    case 'stopped-holder': {
      const stopped = holder()
      await stopped.stop()
      await sleep(stopMs)
      return stopped.cont()
    }
    case 'lock-deleted':
      return remove(party, workspace, false, (lock) => unlinkSync(lock))
    case 'lock-replaced':
      return remove(party, workspace, false, (lock) => {
        writeFileSync(`${lock}-new`, '', { mode: 0o600 })
        renameSync(`${lock}-new`, lock)
      })
    case 'directory-moved':
      return remove(party, workspace, true, () => renameSync(join(workspace, '.conclave'), join(workspace, 'moved')))
    case 'directory-deleted':
      return remove(party, workspace, true, () => rmSync(join(workspace, '.conclave'), { recursive: true }))
  }
}

function refusals(party: Party): number {
  return party.journals().flatMap(({ lines }) => lines.filter(({ k }) => k === 'refused')).length
}

/** Takes the lock away, and waits until nobody holds the old one and somebody the new one. */
async function remove(
  party: Party,
  workspace: string,
  wholeDirectory: boolean,
  act: (lock: string) => void,
): Promise<void> {
  const lock = join(workspace, '.conclave', 'lock')
  const before = now()
  try {
    act(lock)
  } catch (error) {
    // Nobody had made it yet, or somebody made a file in the directory just then.
    if (!['ENOENT', 'ENOTEMPTY'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
  party.removed(before, now(), wholeDirectory)
  try {
    await until(() => moved(party, lock), 'the holder of the old lock to step down and one of the new lock to begin', {
      limitMs: PATIENCE_MS,
    })
  } catch (error) {
    party.faults.push(fault('no-primary', String(error)))
  }
}

function moved(party: Party, lock: string): boolean {
  let identity: string
  try {
    const { dev, ino } = statSync(lock)
    identity = `${dev}:${ino}`
  } catch {
    return false
  }
  const testimony = party.testimony()
  const open = testimony.filter(
    (line) =>
      line.k === 'begin' &&
      !party.deaths.some(({ pid }) => pid === line.pid) &&
      !testimony.some((end) => end.k === 'end' && end.member === line.member && end.term === line.term),
  )
  return open.length === 1 && open.every((line) => line.k === 'begin' && line.lock === identity)
}

function ownRuntime(kind: Kind, { directory }: Round): Runtime | undefined {
  if (kind !== 'full-runtime' && kind !== 'crowded-runtime') return undefined
  const path = join(directory, 'r')
  mkdirSync(path, { mode: 0o700 })
  const mounted = kind === 'full-runtime' && mountFull(path)
  // Whoever may not mount has at least the crowd.
  if (!mounted) {
    mkdirSync(join(path, 'conclave'), { mode: 0o700 })
    for (let i = 0; i < CROWD; i++) writeFileSync(join(path, 'conclave', `left-${i}.sock`), '')
  }
  return { path, mounted }
}
