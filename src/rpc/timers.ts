import { ConclaveError } from '../errors/index.ts'

/** What waits for its deadline. The same object is the key to remove it by. */
export interface DeadlineEntry {
  /** The deadline has passed and nothing that the loop could still read came in time. Called once. */
  expired(): void
  /** The wheel's own: where it stands. One wheel at a time. */
  place?: number | undefined
}

export interface WheelOptions {
  /** CLOCK_MONOTONIC in milliseconds, as in `Platform.now`. */
  readonly now: () => number
  /** True: the process stays alive while there are entries. Default false. */
  readonly ref?: boolean | undefined
}

/** Longest delay that setTimeout takes; a longer one would fire at once. */
const LONGEST_DELAY_MS = 2 ** 31 - 1

/** Least time between two passes over the entries, and the entries for which it grows by a millisecond more. */
const PASS_MS = 2
const ENTRIES_PER_MS = 1000

/**
 * The deadlines of one owner under one timer, since a timer for each call costs a tenth of the call (rule F10). Nearly
 * every entry is removed long before its time, so an entry costs an append to an array, the last one fills the place of one
 * that leaves, and a pass over all of them is made only when the earliest deadline known has come. An entry is never early; it is late by a few
 * milliseconds, more when there are thousands.
 *
 * Rule B1: timers run before sockets are read, so what the timer finds expired is only noted. It ends two check phases
 * later: in between, the loop has polled the sockets twice and run what they brought, and an answer that was there in
 * time has removed its entry.
 */
export class DeadlineWheel {
  readonly #now: () => number
  /** In no order; their deadlines by place. */
  readonly #entries: DeadlineEntry[] = []
  readonly #deadlines: number[] = []
  #ref: boolean
  #timer: NodeJS.Timeout | undefined
  /** When the timer fires: no deadline lies before it. Infinity while none is set. */
  #wake = Infinity
  /** A pass is under way; it sets the next timer itself. */
  #passing = false
  #closed = false

  constructor({ now, ref = false }: WheelOptions) {
    this.#now = now
    this.#ref = ref
  }

  get size(): number {
    return this.#entries.length
  }

  now(): number {
    return this.#now()
  }

  /**
   * An entry that is here already moves to the new deadline. Infinity is no deadline: the entry only leaves. After
   * `close` nothing happens.
   */
  add(deadline: number, entry: DeadlineEntry): void {
    if (Number.isNaN(deadline)) throw new ConclaveError('INTERNAL', 'A deadline is not a number.')
    if (this.#closed) return
    if (deadline === Infinity) {
      this.remove(entry)
      return
    }
    const place = this.#placeOf(entry)
    if (place === undefined) {
      entry.place = this.#entries.push(entry) - 1
      this.#deadlines.push(deadline)
    } else this.#deadlines[place] = deadline
    if (this.#passing) return
    if (deadline < this.#wake) this.#arm(deadline)
    else if (this.#ref && this.#entries.length === 1) this.#timer?.ref()
  }

  /** @returns false when it was not here, or has expired */
  remove(entry: DeadlineEntry): boolean {
    const place = this.#placeOf(entry)
    if (place === undefined) return false
    const last = this.#entries.pop()!
    const deadline = this.#deadlines.pop()!
    if (last !== entry) {
      this.#entries[place] = last
      this.#deadlines[place] = deadline
      last.place = place
    }
    // The timer stays, for the next entry; with none it must not hold the process.
    if (this.#ref && this.#entries.length === 0) this.#timer?.unref()
    return true
  }

  /** From now on entries keep the process alive. */
  ref(): void {
    this.#ref = true
    if (this.#entries.length > 0) this.#timer?.ref()
  }

  unref(): void {
    this.#ref = false
    this.#timer?.unref()
  }

  /** Forgets every entry; none of them expires. Idempotent. */
  close(): void {
    this.#closed = true
    this.#entries.length = this.#deadlines.length = 0
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#wake = Infinity
  }

  #placeOf(entry: DeadlineEntry): number | undefined {
    const { place } = entry
    return place !== undefined && this.#entries[place] === entry ? place : undefined
  }

  #arm(wake: number): void {
    clearTimeout(this.#timer)
    this.#wake = wake
    const delay = Math.min(LONGEST_DELAY_MS, Math.max(1, Math.ceil(wake - this.#now())))
    this.#timer = setTimeout(this.#fired, delay)
    if (!this.#ref || this.#entries.length === 0) this.#timer.unref()
  }

  readonly #fired = (): void => {
    this.#timer = undefined
    this.#wake = Infinity
    const cutoff = this.#now()
    if (this.#earliest() > cutoff) {
      this.#rearm()
      return
    }
    this.#passing = true
    setImmediate(this.#polledOnce, cutoff)
  }

  readonly #polledOnce = (cutoff: number): void => {
    setImmediate(this.#polledTwice, cutoff)
  }

  /** Only what had expired when the timer fired: what came later has not had its turn of the loop. */
  readonly #polledTwice = (cutoff: number): void => {
    const due: [DeadlineEntry, number][] = []
    for (const [place, entry] of this.#entries.entries()) {
      const deadline = this.#deadlines[place]!
      if (deadline <= cutoff) due.push([entry, deadline])
    }
    due.sort((a, b) => a[1] - b[1])
    for (const [entry, deadline] of due) {
      // One that expires may remove or move another.
      const place = this.#placeOf(entry)
      if (place === undefined || this.#deadlines[place] !== deadline) continue
      this.remove(entry)
      try {
        entry.expired()
      } catch (error) {
        // A fault of one owner's callback must not keep the others from ending.
        queueMicrotask(() => {
          throw error
        })
      }
    }
    this.#passing = false
    this.#rearm()
  }

  #rearm(): void {
    const earliest = this.#earliest()
    if (earliest === Infinity || this.#closed) return
    const pause = PASS_MS + Math.floor(this.#entries.length / ENTRIES_PER_MS)
    this.#arm(Math.max(earliest, this.#now() + pause))
  }

  #earliest(): number {
    let earliest = Infinity
    for (const deadline of this.#deadlines) if (deadline < earliest) earliest = deadline
    return earliest
  }
}
