import { endAll, Processes } from './processes.ts'
import { Results, type Quantity } from './rows.ts'

/** A case: one question, asked of everybody who can answer it. */
export interface Case {
  readonly name: string
  /** For the report. */
  readonly title: string
  run(bench: Bench): Promise<void>
}

export interface Skipped {
  readonly case: string
  readonly subject: string
  readonly reason: string
}

/** One side of a comparison, started and ready. */
export interface Subject {
  readonly name: string
  /** One run: figures by metric. */
  measure(): Promise<Readonly<Record<string, number>>>
}

export interface BenchOptions {
  readonly quick: boolean
  /** Rounds of each interleaved case, instead of the case's own number. */
  readonly rounds: number | undefined
  /** Where profiles of our own processes go. */
  readonly profile: string | undefined
  /** Only subjects whose name contains one of these; none: all. */
  readonly only: readonly string[]
  readonly log: (text: string) => void
}

/** One for all figures of a case, or by metric. */
export type Unit = string | ((metric: string) => string)

function unitOf(unit: Unit, metric: string): string {
  return typeof unit === 'string' ? unit : unit(metric)
}

/** What a case works with. */
export class Bench {
  readonly results: Results = new Results()
  readonly skipped: Skipped[] = []
  readonly options: BenchOptions

  constructor(options: BenchOptions) {
    this.options = options
  }

  /** The whole figure, or a small one for a smoke test. */
  count(whole: number, quick: number): number {
    return this.options.quick ? quick : whole
  }

  wants(subject: string): boolean {
    const { only } = this.options
    return only.length === 0 || only.some((word) => subject.includes(word))
  }

  processes(): Processes {
    return new Processes({ profile: this.options.profile })
  }

  skip(benchCase: string, subject: string, reason: string): void {
    this.results.drop(benchCase, subject)
    this.skipped.push({ case: benchCase, subject, reason })
    this.options.log(`${benchCase}: ${subject} skipped: ${reason.split('\n')[0] ?? ''}`)
  }

  add(quantity: Quantity, unit: string, value: number): void {
    this.results.add(quantity, unit, value)
  }

  /** Starts the sides of a case; what cannot start is skipped with its reason. */
  async start(
    benchCase: string,
    starters: Readonly<Record<string, () => Promise<Subject['measure']>>>,
  ): Promise<Subject[]> {
    const subjects: Subject[] = []
    for (const [name, starter] of Object.entries(starters)) {
      if (!this.wants(name)) continue
      try {
        subjects.push({ name, measure: await starter() })
      } catch (error) {
        this.skip(benchCase, name, messageOf(error))
      }
    }
    return subjects
  }

  /** A B C A B C …: a warm-up round that is thrown away, then the rounds. */
  async interleave(
    benchCase: string,
    subjects: readonly Subject[],
    { unit, rounds, warm = 1 }: { readonly unit: Unit; readonly rounds: number; readonly warm?: number },
  ): Promise<void> {
    const last = this.options.rounds ?? rounds
    let running = subjects
    for (let round = -warm; round < last; round++) {
      this.options.log(`${benchCase}: ${round < 0 ? 'warm-up' : `round ${round + 1} of ${last}`}`)
      for (const subject of running) {
        try {
          const figures = await subject.measure()
          if (round < 0) continue
          for (const [metric, value] of Object.entries(figures)) {
            this.add({ case: benchCase, subject: subject.name, metric }, unitOf(unit, metric), value)
          }
        } catch (error) {
          running = running.filter((other) => other !== subject)
          this.skip(benchCase, subject.name, messageOf(error))
        }
      }
    }
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Nothing survives the runner, on signals neither. */
export function endWithRunner(): void {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    process.once(signal, () => process.exit(code))
  }
  process.once('exit', endAll)
}
