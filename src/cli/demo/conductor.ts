import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { join, type Member } from '../../index.ts'
import { Children } from './children.ts'
import { readRows } from './rows.ts'
import { INDEX_FILE, monotonicMs, type Count } from './protocol.ts'
import { median, type DemoState, type Failover, type Phase, type ProcessView, type Report } from './state.ts'
import { compare, type Comparison } from './verify.ts'
import { Watch } from './watch.ts'

/** Nothing was heard or done for so long: the demo gives up. */
const STALLED_MS = 60_000
const LOOK_MS = 1_000
const JOIN_MS = 30_000
/** How long survivors may take to report their first answer, once one has. */
const STRAGGLERS_MS = 2_000

export interface DemoOptions {
  readonly tree: string
  readonly workers: number
  /** Each file takes at least so long: to watch a small folder. */
  readonly paceMs: number
  readonly signal: AbortSignal
  readonly say: (line: string) => void
}

type Act = 'kill-primary' | 'kill-worker' | 'join-late'

/** What happens at which share of the work; at once when the work is over before. */
const SCRIPT: readonly (readonly [at: number, act: Act])[] = [
  [0.2, 'kill-primary'],
  [0.45, 'kill-primary'],
  [0.5, 'join-late'],
  [0.65, 'kill-worker'],
]

/** Starts the processes, kills some of them, measures, and checks what they made. */
export class Conductor {
  readonly #options: DemoOptions
  readonly #startedMs: number = monotonicMs()
  readonly #startedAt: number = Date.now()
  readonly #failovers: Failover[] = []
  readonly #crash = new AbortController()
  #phase: Phase = 'starting'
  #children: Children | undefined
  #watch: Watch | undefined
  #compared = 0
  #endedMs: number | undefined
  #verdict: string | undefined

  constructor(options: DemoOptions) {
    this.#options = options
  }

  state(): DemoState {
    const { tree } = this.#options
    const watch = this.#watch
    const now = this.#endedMs ?? monotonicMs()
    return {
      tree,
      processes: this.#children?.views ?? [],
      phase: this.#phase,
      term: watch?.term ?? 0,
      done: watch?.progress?.done ?? 0,
      total: watch?.progress?.total ?? 0,
      compared: this.#compared,
      failovers: this.#failovers,
      events: watch?.tally.counts() ?? { published: 0, delivered: 0, missed: 0 },
      eventsPerSecond: this.#eventsPerSecond(),
      elapsedMs: now - this.#startedMs,
      verdict: this.#verdict,
    }
  }

  /** Of the last second; of the whole run when it is over. */
  #eventsPerSecond(): number {
    const { tally } = this.#watch ?? {}
    if (this.#endedMs === undefined) return tally?.perSecond(monotonicMs()) ?? 0
    return Math.round((1000 * (tally?.delivered ?? 0)) / (this.#endedMs - this.#startedMs))
  }

  /**
   * @param atEnd called while everybody is still there
   * @throws what interrupts it; a sentence when something is stuck
   */
  async run(atEnd: () => void = () => {}): Promise<Report> {
    const folder = await mkdtemp(joinPath(await realpath(tmpdir()), 'conclave-demo-'))
    let member: Member | undefined
    try {
      const { tree, workers, paceMs, say } = this.#options
      const onCrash = (sentence: string): void => this.#crash.abort(new Error(sentence))
      const children = (this.#children = new Children({ workspace: folder, tree, paceMs, onCrash }))
      for (let i = 1; i <= workers; i++) children.start(`worker-${i}`, false)
      say(`started ${workers} processes: ${children.views.map(({ name, pid }) => `${name} ${pid}`).join(', ')}`)
      const signal = this.#signal()
      member = await join(folder, { name: 'conductor', primary: 'never', waitMs: JOIN_MS, signal })
      const watch = (this.#watch = new Watch(member, children))
      await this.#guarded(watch, (guard) => this.#perform(watch, children, guard))
      await this.#askCounts(member, watch)
      this.#phase = 'comparing'
      const comparison = await this.#compare(folder, signal)
      const report = this.#report(watch, comparison)
      this.#phase = report.ok ? 'done' : 'failed'
      atEnd()
      return report
    } catch (error) {
      this.#phase = 'failed'
      throw error
    } finally {
      await this.#clear(member, folder)
    }
  }

  async #clear(member: Member | undefined, folder: string): Promise<void> {
    await member?.close({ timeoutMs: 1_000 })
    await this.#children?.stop()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }

  #signal(): AbortSignal {
    return AbortSignal.any([this.#options.signal, this.#crash.signal])
  }

  /** Ends the work with a sentence when nothing happens any more. */
  async #guarded(watch: Watch, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const stalled = new AbortController()
    let last = ''
    // Counted are looks of our own, not the time that passed: who was stopped (Ctrl-Z) has heard nothing (rule B1).
    let quiet = 0
    const timer = setInterval(() => {
      const { delivered } = watch.tally
      const now = `${watch.term} ${watch.progress?.done} ${watch.progress?.complete} ${delivered} ${this.#failovers.length}`
      if (now !== last) [last, quiet] = [now, 0]
      else if (++quiet > STALLED_MS / LOOK_MS) {
        const { done = 0, total = 0 } = watch.progress ?? {}
        const text = `Nothing happened for ${STALLED_MS / 1000} s at ${done} of ${total} files in term ${watch.term}.`
        stalled.abort(new Error(text))
      }
    }, LOOK_MS)
    try {
      await work(AbortSignal.any([this.#signal(), stalled.signal]))
    } finally {
      clearInterval(timer)
    }
  }

  async #perform(watch: Watch, children: Children, signal: AbortSignal): Promise<void> {
    this.#phase = 'walking'
    const { say } = this.#options
    const first = await watch.until(() => watch.primary, signal)
    say(`term ${watch.term}: ${first.name} is primary and walks ${this.#options.tree}`)
    const { total } = await watch.until(() => walked(watch), signal)
    say(`${total} files found`)
    this.#phase = 'indexing'
    await watch.until(() => children.views.every(({ state }) => state !== 'starting'), signal)
    for (const [at, act] of SCRIPT) {
      await watch.until(() => isPast(watch, at), signal)
      if (act === 'join-late') this.#joinLate(watch, children)
      else if (act === 'kill-worker') await this.#killWorker(watch, children, signal)
      else await this.#killPrimary(watch, children, signal)
    }
    await watch.until(() => children.views.every(({ state }) => state !== 'starting'), signal)
    await watch.until(() => watch.progress?.term === watch.term && watch.progress.complete, signal)
    say(`${watch.progress?.done} of ${watch.progress?.total} files indexed`)
  }

  async #killPrimary(watch: Watch, children: Children, signal: AbortSignal): Promise<void> {
    const { say } = this.#options
    const victim = await watch.until(() => watch.primary && children.byPid(watch.primary.pid), signal)
    const { term } = watch
    const killedMs = monotonicMs()
    const killed = children.kill(victim)
    say(`SIGKILL for ${victim.name}, primary of term ${term}, at ${share(watch)}`)
    const next = await watch.until(
      () => [...watch.terms].find((other) => other > term && watch.answers(other).length > 0),
      signal,
    )
    await killed
    const survivors = children.views.filter(({ state }) => state === 'working').length
    const waitUntilMs = monotonicMs() + STRAGGLERS_MS
    // Every survivor but the primary itself, and the conductor.
    await watch.until(() => watch.answers(next).length >= survivors || monotonicMs() > waitUntilMs, signal)
    await watch.until(() => watch.progress?.term === watch.term, signal)
    const everyMs = watch.answers(next).map(({ atMs }) => atMs - killedMs)
    const ms = Math.min(...everyMs)
    const primary = watch.primary?.name ?? ''
    this.#failovers.push({
      term: next,
      killed: victim.name,
      primary,
      ms: rounded(ms),
      everyMs: everyMs.map((each) => rounded(each)),
    })
    say(`term ${next}: ${primary} answered after ${ms.toFixed(1)} ms and goes on from ${watch.progress?.found} files`)
  }

  async #killWorker(watch: Watch, children: Children, signal: AbortSignal): Promise<void> {
    const isVictim = ({ state, pid }: ProcessView): boolean => state === 'working' && pid !== watch.primary?.pid
    const victim = await watch.until(() => watch.primary && busiest(children.views.filter(isVictim)), signal)
    this.#options.say(`SIGKILL for ${victim.name}, a secondary, at ${share(watch)}`)
    await children.kill(victim)
  }

  #joinLate(watch: Watch, children: Children): void {
    const view = children.start(`worker-${children.views.length + 1}`, true)
    this.#options.say(`${view.name} (pid ${view.pid}) joins late, at ${share(watch)}`)
  }

  async #askCounts(member: Member, watch: Watch): Promise<void> {
    for await (const reply of member.gather('count', undefined, { timeoutMs: 5_000 })) {
      if (reply.ok) watch.tally.acknowledged(reply.from.id, (reply.result as Count).acknowledged)
    }
    // What was acknowledged is on its way to us.
    const untilMs = monotonicMs() + STRAGGLERS_MS
    await watch.until(() => watch.tally.counts().missed <= watch.tally.told || monotonicMs() > untilMs, this.#signal())
  }

  async #compare(folder: string, signal: AbortSignal): Promise<Comparison> {
    this.#options.say('comparing with an independent walk of one process')
    const rows = await readRows(joinPath(folder, INDEX_FILE))
    const compared = (files: number): void => void (this.#compared = files)
    return compare(this.#options.tree, rows, { startedAt: this.#startedAt, signal, compared })
  }

  #report(watch: Watch, comparison: Comparison): Report {
    const { files, bytes, indexed, lost, duplicated, extra, changed, examples } = comparison
    const { tally, terms, forgotten } = watch
    const events = tally.counts()
    const { told, toldExactly, repeated } = tally
    const problems = [...examples]
    if (lost + duplicated + extra > problems.length)
      problems.push(`${lost} lost, ${duplicated} duplicated, ${extra} extra`)
    if (forgotten > 0) problems.push(`${forgotten} committed results were gone after a change of primary`)
    if (events.missed > told && toldExactly)
      problems.push(`${events.missed} events were missed, the bus told of ${told}`)
    if (repeated > 0) problems.push(`${repeated} events came twice`)
    if (terms.size < 3) problems.push(`only ${terms.size} terms`)
    const ok = problems.length === 0
    const summary = `${lost} lost, ${duplicated} duplicated`
    this.#endedMs = monotonicMs()
    this.#verdict = ok ? summary : `${summary}: ${problems[0]}`
    return {
      ok,
      files,
      indexed,
      lost,
      duplicated,
      terms: terms.size,
      failovers: this.#failovers,
      medianFailoverMs: rounded(median(this.#failovers.map(({ ms }) => ms))),
      events: { ...events, told, toldExactly, repeated },
      forgotten,
      changed,
      bytes,
      processes: this.#children?.views.map((view) => ({ ...view })) ?? [],
      tree: this.#options.tree,
      durationMs: Math.round(this.#endedMs - this.#startedMs),
      problems,
    }
  }
}

function walked(watch: Watch): { readonly total: number } | undefined {
  const { progress } = watch
  return progress !== undefined && (progress.total > 0 || progress.complete) ? progress : undefined
}

function isPast(watch: Watch, at: number): boolean {
  const { progress } = watch
  if (progress === undefined || progress.term !== watch.term) return false
  return progress.complete || (progress.total > 0 && progress.done >= at * progress.total)
}

function share(watch: Watch): string {
  const { done = 0, total = 0 } = watch.progress ?? {}
  return total === 0 ? 'the end' : `${done} of ${total} files`
}

function busiest(views: readonly ProcessView[]): ProcessView | undefined {
  return views.toSorted((a, b) => b.files - a.files)[0]
}

function rounded(ms: number): number
function rounded(ms: number | undefined): number | undefined
function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms * 100) / 100
}
