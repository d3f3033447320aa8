import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { baseDirectory } from '../../support/index.ts'
import { fault, type Fault } from '../checkers/fault.ts'
import type { Chaos, ChaosOptions, Round, Verdict } from './chaos.ts'
import { Crew } from './crew.ts'
import { Random } from './random.ts'

export interface RunOptions extends ChaosOptions {
  readonly seed: number
  readonly rounds: number
  /** The one round to repeat; default: all from 1. */
  readonly only?: number | undefined
  /** No round begins after so many milliseconds. */
  readonly limitMs?: number | undefined
  /** Where the evidence of a failed round is kept; default: nowhere. */
  readonly keepIn?: string | undefined
  readonly onProgress?: ((text: string) => void) | undefined
  /** No round begins after it aborts. */
  readonly signal?: AbortSignal | undefined
}

export interface FailedRound {
  readonly round: number
  readonly faults: readonly Fault[]
  readonly kept: string | undefined
}

export interface Report {
  readonly name: string
  readonly seed: number
  readonly rounds: number
  readonly ok: boolean
  readonly faults: Readonly<Record<string, number>>
  readonly failed: readonly FailedRound[]
  readonly figures: Readonly<Record<string, number>>
  readonly summary: Readonly<Record<string, unknown>>
}

const MOST_FAULTS_KEPT = 10
const PROGRESS_EVERY_MS = 10_000

/** The plan of one round, from its numbers alone. */
export function planOf<P extends object>(chaos: Chaos<P>, seed: number, round: number, options: ChaosOptions): P {
  return chaos.plan(new Random(`${chaos.name} ${seed} ${round}`), options)
}

/** Carries the rounds out, one after the other. */
export async function runChaos<P extends object>(chaos: Chaos<P>, options: RunOptions): Promise<Report> {
  const { seed, rounds, only, limitMs = Infinity, onProgress = () => {} } = options
  const base = mkdtempSync(join(realpathSync(baseDirectory()), 'cx'))
  const crew = await Crew.start(chaos.crew(options), {
    ...chaos.worker,
    // Starting a process is most of what a round costs: its code is compiled once.
    env: { NODE_DISABLE_COMPILE_CACHE: undefined, NODE_COMPILE_CACHE: join(base, 'cache'), ...chaos.worker?.env },
  })
  const figures: Record<string, number> = {}
  const faults: Record<string, number> = {}
  const failed: FailedRound[] = []
  const begin = performance.now()
  let said = begin
  let done = 0
  const runtime = join(base, 'r')
  mkdirSync(runtime, { mode: 0o700 })
  try {
    const goesOn = (): boolean => performance.now() - begin < limitMs && options.signal?.aborted !== true
    for (let number = only ?? 1; number <= (only ?? rounds) && goesOn(); number++) {
      const directory = join(base, `${number}`)
      for (const part of ['', 'w', 'journals']) mkdirSync(join(directory, part), { mode: 0o700 })
      const plan = planOf(chaos, seed, number, options)
      writeFileSync(join(directory, 'plan.json'), `${JSON.stringify(plan, undefined, 2)}\n`)
      const progress = (text: string): void => onProgress(`${chaos.name} round ${number}: ${text}`)
      const verdict = await attempt(chaos, plan, { number, directory, runtime, crew, progress })
      done++
      for (const [name, count] of Object.entries(verdict.figures)) figures[name] = (figures[name] ?? 0) + count
      for (const { kind } of verdict.faults) faults[kind] = (faults[kind] ?? 0) + 1
      if (verdict.faults.length > 0) {
        const kept = keep(directory, options.keepIn, `${chaos.name}-${seed}-${number}`, verdict.faults)
        failed.push({ round: number, faults: verdict.faults.slice(0, MOST_FAULTS_KEPT), kept })
        for (const { kind, text } of verdict.faults.slice(0, MOST_FAULTS_KEPT)) progress(`${kind}: ${text}`)
        progress(`again: npm run chaos -- ${chaos.name} --seed ${seed} --round ${number}; kept: ${kept ?? 'nothing'}`)
      }
      rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
      if (performance.now() - said > PROGRESS_EVERY_MS) {
        said = performance.now()
        onProgress(`${chaos.name}: ${done} rounds in ${Math.round((said - begin) / 1000)} s, ${failed.length} failed`)
      }
    }
  } finally {
    await crew.close()
    rmSync(base, { recursive: true, force: true, maxRetries: 5 })
  }
  const summary = chaos.summary?.(figures, faults) ?? figures
  return { name: chaos.name, seed, rounds: done, ok: failed.length === 0, faults, failed, figures, summary }
}

async function attempt<P extends object>(chaos: Chaos<P>, plan: P, round: Round): Promise<Verdict> {
  try {
    return await chaos.run(plan, round)
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    return { faults: [fault('crash', text)], figures: {} }
  }
}

function keep(directory: string, into: string | undefined, name: string, faults: readonly Fault[]): string | undefined {
  if (into === undefined) return undefined
  const kept = join(into, name)
  mkdirSync(into, { recursive: true, mode: 0o700 })
  rmSync(kept, { recursive: true, force: true })
  // Sockets cannot be copied, and say nothing.
  cpSync(directory, kept, { recursive: true, filter: (path) => !path.endsWith('.sock') })
  writeFileSync(join(kept, 'faults.json'), `${JSON.stringify(faults, undefined, 2)}\n`)
  return kept
}
