/*
 * Who is first, who is last, and who cleans up: one machine for all subscription ids, without time or sockets.
 *
 * A consumer waits, is up, sets up (ours only), leaves (asked, and was told "not last"), or cleans up (asked, and was told
 * "last"). One that leaves is no longer counted, so of several that leave together exactly one is told "last" (weak point 2
 * of SEEDS 4.5). The clean-up is reserved until it is over: by bye, by the end of the process that closed first and
 * cleans up then (v1 does), or by its owner's time limit (weak points 1 and 6).
 */

/** A consumer, by a number of its owner. */
export type Id = number

export interface HelloOptions {
  readonly exclusive: boolean
  /** It tells when its set-up is over; until then others wait. */
  readonly tellsSetup: boolean
  /** It was a consumer before the bus went away: it has set up already, or somebody has. */
  readonly resumed: boolean
}

export type Verdict =
  | { readonly type: 'admitted'; readonly id: Id; readonly first: boolean; readonly abandoned: boolean }
  /** `by`: the consumer in the way. */
  | { readonly type: 'rejected'; readonly id: Id; readonly by: Id; readonly why: 'exclusive' | 'cleanup' }

type Phase = 'up' | 'setup' | 'leaving' | 'cleanup'

interface Waiting extends HelloOptions {
  readonly id: Id
}

interface Key {
  readonly name: string
  readonly phases: Map<Id, Phase>
  /** Closed and may still clean up. */
  lingering: Id | undefined
  waiting: Waiting[]
}

export class Keys {
  readonly #keys = new Map<string, Key>()
  readonly #keyOf = new Map<Id, Key>()
  /** Keys whose last consumer ended without a clean-up; the oldest is forgotten. */
  readonly #abandoned = new Set<string>()
  readonly #maxAbandoned: number

  constructor(maxAbandoned: number) {
    this.#maxAbandoned = maxAbandoned
  }

  /** @returns what was decided at once; without an entry for `id`, it waits */
  hello(id: Id, name: string, options: HelloOptions): Verdict[] {
    const key = this.#key(name)
    this.#keyOf.set(id, key)
    key.waiting.push({ id, ...options })
    return this.#decide(key)
  }

  setupDone(id: Id): Verdict[] {
    const key = this.#keyOf.get(id)
    if (key?.phases.get(id) !== 'setup') return []
    key.phases.set(id, 'up')
    return this.#decide(key)
  }

  /** @returns whether it is the last: then the clean-up is its own until `left` and, maybe, `lingered` */
  check(id: Id): boolean {
    const key = this.#keyOf.get(id)
    const phase = key?.phases.get(id)
    if (key === undefined || phase === undefined) return false
    if (phase === 'cleanup') return true
    const last =
      cleaner(key) === undefined && [...key.phases].every(([other, its]) => other === id || its === 'leaving')
    key.phases.set(id, last ? 'cleanup' : 'leaving')
    return last
  }

  /** Whether the clean-up of the key is this one's. */
  cleans(id: Id): boolean {
    return this.#keyOf.get(id)?.phases.get(id) === 'cleanup'
  }

  /**
   * Its connection is over.
   * @param how `done`: it has done what it had to do. `lingers`: it may clean up still, if it was told to. `dead`: it will do nothing more
   */
  left(id: Id, how: 'done' | 'lingers' | 'dead'): Verdict[] {
    const key = this.#keyOf.get(id)
    if (key === undefined) return []
    const phase = key.phases.get(id)
    key.phases.delete(id)
    key.waiting = key.waiting.filter((one) => one.id !== id)
    if (phase === 'cleanup' && how === 'lingers') key.lingering = id
    else this.#keyOf.delete(id)
    const cleaned = phase === 'cleanup' && how === 'done'
    // One that was told "not last" left the clean-up to another, who is still there or was the one abandoning it.
    const owed = phase === 'cleanup' ? !cleaned : phase === 'up' || phase === 'setup'
    if (owed && key.lingering === undefined && !someUp(key)) this.#abandon(key)
    return this.#decide(key)
  }

  /** One that closed first has cleaned up, or can't any more. */
  lingered(id: Id): Verdict[] {
    const key = this.#keyOf.get(id)
    if (key?.lingering !== id) return []
    key.lingering = undefined
    this.#keyOf.delete(id)
    return this.#decide(key)
  }

  /** It has waited long enough. */
  waited(id: Id): Verdict[] {
    const key = this.#keyOf.get(id)
    const waiting = key?.waiting.find((one) => one.id === id)
    if (key === undefined || waiting === undefined) return []
    key.waiting = key.waiting.filter((one) => one !== waiting)
    const by = cleaner(key) ?? (waiting.exclusive ? [...key.phases.keys()][0] : undefined)
    if (by !== undefined) {
      this.#keyOf.delete(id)
      const why = cleaner(key) === undefined ? 'exclusive' : 'cleanup'
      return [{ type: 'rejected', id, by, why }, ...this.#decide(key)]
    }
    // Only the first one's set-up is in the way: it takes long, and is there.
    return [this.#admit(key, waiting), ...this.#decide(key)]
  }

  /** For status: whether the last consumer of the key ended without cleaning up. */
  isAbandoned(name: string): boolean {
    return this.#abandoned.has(name)
  }

  /** Keys that somebody holds, waits for or has abandoned. */
  get size(): number {
    return this.#keys.size + this.#abandoned.size
  }

  #decide(key: Key): Verdict[] {
    const verdicts: Verdict[] = []
    for (let next = key.waiting[0]; next !== undefined && !blocked(key, next); next = key.waiting[0]) {
      key.waiting.shift()
      const holder = next.exclusive ? [...key.phases.keys()][0] : undefined
      if (holder === undefined) verdicts.push(this.#admit(key, next))
      else {
        this.#keyOf.delete(next.id)
        verdicts.push({ type: 'rejected', id: next.id, by: holder, why: 'exclusive' })
      }
    }
    if (key.phases.size === 0 && key.waiting.length === 0 && key.lingering === undefined) this.#keys.delete(key.name)
    return verdicts
  }

  #admit(key: Key, { id, tellsSetup, resumed }: Waiting): Verdict {
    const first = !someUp(key)
    const abandoned = first && this.#abandoned.delete(key.name)
    key.phases.set(id, first && tellsSetup && !resumed ? 'setup' : 'up')
    return { type: 'admitted', id, first, abandoned }
  }

  #abandon(key: Key): void {
    this.#abandoned.delete(key.name)
    this.#abandoned.add(key.name)
    const [oldest] = this.#abandoned
    if (this.#abandoned.size > this.#maxAbandoned && oldest !== undefined) this.#abandoned.delete(oldest)
  }

  #key(name: string): Key {
    let key = this.#keys.get(name)
    if (key === undefined) {
      key = { name, phases: new Map(), lingering: undefined, waiting: [] }
      this.#keys.set(name, key)
    }
    return key
  }
}

/** Who has the clean-up. */
function cleaner(key: Key): Id | undefined {
  for (const [id, phase] of key.phases) if (phase === 'cleanup') return id
  return key.lingering
}

function someUp(key: Key): boolean {
  for (const phase of key.phases.values()) if (phase === 'up' || phase === 'setup') return true
  return false
}

/** A clean-up or a set-up goes on, or the holder of an exclusive key is leaving. Behind one that waits, others wait. */
function blocked(key: Key, { exclusive }: Waiting): boolean {
  if (cleaner(key) !== undefined) return true
  if (exclusive) return key.phases.size > 0 && !someUp(key)
  for (const phase of key.phases.values()) if (phase === 'setup') return true
  return false
}
