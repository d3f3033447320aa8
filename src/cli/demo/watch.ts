import { EventEmitter, once } from 'node:events'
import type { Event, Member, MemberRef, Status } from '../../index.ts'
import { seqOf } from '../../events/position.ts'
import { keepAsking } from './asking.ts'
import type { Children } from './children.ts'
import { monotonicMs, TOPIC, type Answered, type Progress } from './protocol.ts'
import { Tally } from './tally.ts'

/** Events that may wait while the conductor draws or compares. */
const MAX_QUEUED = 200_000

/** The conductor's eyes: everything it knows of the others comes over the bus, as it would for any member. */
export class Watch {
  readonly tally: Tally = new Tally()
  readonly terms: Set<number> = new Set()
  /** Of the newest term that told. */
  progress: Progress | undefined
  primary: MemberRef | undefined
  term = 0
  /** Committed results that a later primary did not have. */
  forgotten = 0
  /** When anything was last heard. */
  heardMs: number = monotonicMs()
  readonly #children: Children
  readonly #answers = new Map<number, { readonly from: string; readonly atMs: number }[]>()
  readonly #changed = new EventEmitter()

  constructor(member: Member, children: Children) {
    this.#children = children
    // They may have begun before we joined: a publisher's events are counted from its first.
    // What the switchboard no longer holds is told as missed.
    const all = { from: { after: seqOf(1, 0) }, maxQueued: MAX_QUEUED } as const
    member.on(TOPIC.indexed, (event) => this.#indexed(event), all)
    member.on(TOPIC.progress, (event) => this.#progressed(event), all)
    member.on(TOPIC.answered, ({ data, publisher }) => this.#answered(data as Answered, publisher), all)
    void keepAsking(member, (answer) => this.#answered(answer, member))
    void this.#follow(member.status())
  }

  answers(term: number): readonly { readonly from: string; readonly atMs: number }[] {
    return this.#answers.get(term) ?? []
  }

  /** Polls at every change and, for what has no event, a few times a second. Rejects when the signal aborts. */
  async until<T>(condition: () => T | undefined | false, signal: AbortSignal): Promise<T> {
    for (;;) {
      signal.throwIfAborted()
      const value = condition()
      if (value !== undefined && value !== false) return value
      const turn = AbortSignal.any([signal, AbortSignal.timeout(100)])
      await once(this.#changed, 'changed', { signal: turn }).catch(() => {})
    }
  }

  #indexed(event: Event<string, unknown>): void {
    this.tally.add(event, monotonicMs())
    const view = this.#children.byPid(event.publisher.pid)
    if (view !== undefined) {
      view.files++
      if (view.state === 'starting') view.state = 'working'
      this.#seen(view.pid, event.term)
    }
    this.#tell()
  }

  #progressed({ data, publisher }: Event<string, unknown>): void {
    const progress = data as Progress
    this.#serves(publisher, progress.term)
    if (this.progress !== undefined && progress.term < this.progress.term) return
    if (this.progress !== undefined && progress.term > this.progress.term && progress.found < this.progress.done) {
      this.forgotten += this.progress.done - progress.found
    }
    this.progress = progress
    this.#tell()
  }

  #answered({ term, atMs }: Answered, from: MemberRef | Member): void {
    const answers = this.#answers.get(term) ?? []
    answers.push({ from: from.name, atMs })
    this.#answers.set(term, answers)
    if ('pid' in from) this.#seen(from.pid, term)
    this.#tell()
  }

  async #follow(statuses: AsyncIterable<Status>): Promise<void> {
    for await (const status of statuses) {
      if (status.type === 'primary-found') this.#serves(status.primary, status.term)
      else if (status.type === 'primary-lost') this.primary = undefined
      this.#tell()
    }
  }

  #serves(primary: MemberRef, term: number): void {
    if (term < this.term) return
    this.term = term
    this.terms.add(term)
    this.primary = primary
    this.#seen(primary.pid, term)
    for (const view of this.#children.views) {
      if (view.state === 'killed' || view.role === undefined) continue
      view.role = view.pid === primary.pid ? 'primary' : 'secondary'
    }
  }

  #seen(pid: number, term: number): void {
    const view = this.#children.byPid(pid)
    if (view === undefined || view.state === 'killed') return
    if (view.state === 'starting') view.state = 'working'
    view.term = Math.max(view.term, term)
    view.role = this.primary?.pid === pid ? 'primary' : 'secondary'
  }

  #tell(): void {
    this.heardMs = monotonicMs()
    this.#changed.emit('changed')
  }
}
