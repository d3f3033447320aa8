import type { Given, OptionSpecs } from './args.ts'
import type { Output } from './output.ts'

/** What a verb gets beside its arguments. */
export interface Surroundings {
  readonly out: Output
  readonly err: Output
  /** Aborts, with an `Interrupted`, on SIGINT, SIGTERM, SIGHUP and when nobody reads the output. */
  readonly signal: AbortSignal
  /** From now on these signals are the verb's own: each goes to `take`, and `signal` no longer aborts by them. */
  readonly takeSignals: (signals: readonly NodeJS.Signals[], take: (signal: NodeJS.Signals) => void) => void
  /** For work that holds up the loop: signals end the process at once meanwhile. */
  readonly untilSignal: <T>(work: () => T) => T
}

export interface Verb {
  /** Behind the verb, in help. */
  readonly usage: string
  /** A paragraph or two, in help. */
  readonly about: string
  readonly options: OptionSpecs
  /** Words that may stand on the command line; `[least, most]`. */
  readonly words: readonly [number, number]
  /** Whether what stands behind `--` is a command of its own; else `--` only ends the options. */
  readonly takesRest?: boolean
  readonly examples?: readonly string[]
  /** @returns the exit code */
  run(given: Given, around: Surroundings): Promise<number>
}
