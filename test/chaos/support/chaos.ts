import type { Fault } from '../checkers/fault.ts'
import type { Crew } from './crew.ts'
import type { Random } from './random.ts'
import type { WorkerOptions } from './worker.ts'

export type Figures = Readonly<Record<string, number>>

export interface Verdict {
  readonly faults: readonly Fault[]
  /** Summed over the rounds. */
  readonly figures: Figures
}

export interface ChaosOptions {
  /** Members of a round, where the name has a choice. */
  readonly processes?: number | undefined
  /** How long a soak lasts. */
  readonly minutes?: number | undefined
}

/** One name of `npm run chaos`: makes a plan from numbers, and carries it out. */
export interface Chaos<Plan extends object = object> {
  readonly name: string
  /** Rounds when none are asked for. */
  readonly rounds: number
  /** Processes kept ready between rounds. */
  readonly crew: (options: ChaosOptions) => number
  readonly worker?: WorkerOptions
  /** Nothing but `random` and the options decides. */
  plan(random: Random, options: ChaosOptions): Plan
  run(plan: Plan, round: Round): Promise<Verdict>
  /** What the run prints beside the counts of faults. Default: the figures. */
  summary?(figures: Figures, faults: Readonly<Record<string, number>>): Readonly<Record<string, unknown>>
}

/** Where one round takes place. */
export interface Round {
  readonly number: number
  /** `w` (the workspace), `journals`, `witness.jsonl`. */
  readonly directory: string
  /** XDG_RUNTIME_DIR of the round. */
  readonly runtime: string
  readonly crew: Crew
  progress(text: string): void
}
