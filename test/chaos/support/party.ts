import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fault, type Fault } from '../checkers/fault.ts'
import { parseLines, readJournal, type Journal } from '../checkers/journal.ts'
import { checkPrimaries, type Death, type Primaries, type Testimony, type View } from '../checkers/primaries.ts'
import type { Round } from './chaos.ts'
import type { JoinCommand } from './commands.ts'
import { PATIENCE_MS } from './limits.ts'
import { Gone, Refused, type Worker } from './worker.ts'

const AGREE_EVERY_MS = 10

/** The processes of one round: what was done to them, and what they say in the end. */
export class Party {
  readonly round: Round
  readonly workers: Worker[] = []
  readonly deaths: Death[] = []
  readonly removals: Primaries['removals'][number][] = []
  readonly faults: Fault[] = []
  views: View[] = []

  constructor(round: Round) {
    this.round = round
  }

  get alive(): Worker[] {
    return this.workers.filter((worker) => worker.alive)
  }

  /** Those that take part to the end, by the names of their journals. */
  get survivors(): ReadonlySet<string> {
    return new Set(this.alive.map((worker) => journalName(worker)))
  }

  async recruit(count: number, fresh = false): Promise<Worker[]> {
    const { crew } = this.round
    const recruits = fresh ? await crew.fresh(count) : await crew.take(count)
    for (const worker of recruits) {
      worker.name = `m${this.workers.length}`
      this.workers.push(worker)
    }
    return recruits
  }

  join(worker: Worker, options: Partial<JoinCommand> = {}): Promise<unknown> {
    const { directory, runtime } = this.round
    return this.ask(worker, { do: 'join', round: directory, runtime, name: worker.name, ...options })
  }

  /** As `Worker.ask`; `undefined` when the process ended first, a fault when it did not answer. */
  async ask<A = Record<string, unknown>>(
    worker: Worker,
    command: Parameters<Worker['ask']>[0],
    limitMs?: number,
  ): Promise<A | undefined> {
    try {
      return await worker.ask<A>(command, limitMs)
    } catch (error) {
      if (error instanceof Gone) return undefined
      if (error instanceof Refused && worker.death !== undefined) return undefined
      this.faults.push(fault(error instanceof Refused ? 'crash' : 'hung', String(error)))
      return undefined
    }
  }

  async kill(worker: Worker, signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.deaths.push(worker.doom())
    await worker.kill(signal)
  }

  /** It ends by itself, as it was told. */
  expectDeath(worker: Worker): void {
    this.deaths.push(worker.doom())
  }

  removed(before: number, after: number, wholeDirectory: boolean): void {
    this.removals.push({ before, after, wholeDirectory })
  }

  testimony(): Testimony[] {
    try {
      return parseLines<Testimony>(readFileSync(join(this.round.directory, 'witness.jsonl'), 'utf8'))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
      throw error
    }
  }

  /** Who is primary by its own testimony: the latest that began and did not end. */
  primary(): Worker | undefined {
    const testimony = this.testimony()
    const begun = testimony.findLast(
      (line) =>
        line.k === 'begin' &&
        !testimony.some((other) => other.k === 'end' && other.member === line.member && other.term === line.term),
    )
    return this.alive.find(({ pid }) => pid === begun?.pid)
  }

  /** Until every live member is answered by one and the same primary. */
  async agree(limitMs: number = PATIENCE_MS): Promise<void> {
    const end = performance.now() + limitMs
    let failures: string[] = []
    for (;;) {
      failures = []
      const asked = await Promise.all(
        this.alive.map(async (worker) => {
          try {
            const view = await worker.ask<View & { own: number }>({ do: 'view' })
            return { ...view, name: worker.name }
          } catch (error) {
            if (!(error instanceof Gone)) failures.push(`${worker.name}: ${String(error).split('\n')[0]}`)
            return undefined
          }
        }),
      )
      const views = asked.filter((view) => view !== undefined)
      const agreed = views.every(
        ({ pid, term, member, own }) =>
          pid === views[0]?.pid && term === views[0].term && member === views[0].member && own === term,
      )
      if (failures.length === 0 && agreed && views.length > 0) {
        this.views = views
        return
      }
      if (performance.now() > end) {
        const seen = views.map(({ name, pid, term }) => `${name} is answered by pid ${pid} in term ${term}`)
        this.faults.push(fault('no-primary', `no agreement: ${[...failures, ...seen].join('; ')}`))
        return
      }
      await sleep(AGREE_EVERY_MS)
    }
  }

  /** Events that every subscription gets at last: whatever was lost before them has been told by then. */
  async settleEvents(topics: readonly string[], limitMs: number = PATIENCE_MS): Promise<void> {
    const end = performance.now() + limitMs
    const marks: string[] = []
    for (;;) {
      const [first] = this.alive
      if (first === undefined) return
      marks.push(...((await this.ask<{ items: string[] }>(first, { do: 'mark', topics }))?.items ?? []))
      await sleep(AGREE_EVERY_MS)
      const waiting: string[] = []
      for (const worker of this.alive) {
        const seen = await this.ask<{ waiting: string[] }>(worker, { do: 'seen', marks })
        for (const name of seen?.waiting ?? []) waiting.push(`${worker.name} ${name}`)
      }
      if (waiting.length === 0) return
      if (performance.now() > end) {
        this.faults.push(fault('hung', `no mark came to ${waiting.join(', ')}`))
        return
      }
    }
  }

  /** Everybody leaves; the processes go back to the crew. */
  async leave(how: 'close' | 'abort' = 'close'): Promise<void> {
    await Promise.all(this.alive.map((worker) => this.ask(worker, { do: 'leave', how })))
  }

  /** To be called when the round is over, whatever came of it. */
  release(): void {
    for (const worker of this.workers) {
      if (worker.crashed) {
        const { code, signal } = worker.ended ?? {}
        this.faults.push(
          fault('crash', `${worker.name} ended by itself (${code} ${signal}): ${worker.stderr.slice(-2000)}`),
        )
      }
    }
    // Whatever went wrong with them shall not show in the next round.
    if (this.faults.length > 0) for (const worker of this.alive) void worker.kill()
    this.round.crew.give(this.workers)
  }

  journals(): Journal[] {
    const directory = join(this.round.directory, 'journals')
    return readdirSync(directory)
      .sort()
      .map((file) => readJournal(file.replace('.jsonl', ''), join(directory, file)))
  }

  checkPrimaries(journals: readonly Journal[]): Fault[] {
    const joins = journals.flatMap(({ name, lines }) =>
      lines
        .filter((line) => line.k === 'joined')
        .map(({ since, primary, term }) => ({ name, since, member: primary, term })),
    )
    const { deaths, views, removals } = this
    return checkPrimaries({ testimony: this.testimony(), deaths, views, removals, joins })
  }
}

export function journalName(worker: Worker): string {
  return `${worker.name}-${worker.pid}`
}
