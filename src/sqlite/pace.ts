import { GATHER_MS } from './limits.ts'

interface Member {
  /** When its last writes were answered, while it has none in the queue. */
  answered: number | undefined
  /** It wrote again within `GATHER_MS` of its last answers. */
  prompt: boolean
}

/**
 * Who writes in turn with others. The primary's own member has no way to go and would write twice while others write once,
 * each time in a transaction for itself alone; so a group waits, for a moment, for the members that took part in the last ones
 * and were quick to write again. Whoever is not quick is not waited for; one that writes alone never waits.
 */
export class Pace {
  readonly #now: () => number
  readonly #onOver: () => void
  readonly #members = new Map<string, Member>()
  /** Members that are waited for. */
  #missing = 0
  #until = 0
  #timer: NodeJS.Timeout | undefined

  /** @param onOver `waits` was true and is not any more, without anybody having come */
  constructor(now: () => number, onOver: () => void) {
    this.#now = now
    this.#onOver = onOver
  }

  /** A member has writes in the queue. */
  arrived(line: string): void {
    const member = this.#members.get(line)
    if (member?.answered === undefined) return
    if (member.prompt) this.#missing--
    member.prompt = this.#now() - member.answered < GATHER_MS
    member.answered = undefined
  }

  /** A group is answered. @param lines of members with nothing left in the queue */
  answered(lines: ReadonlySet<string>): void {
    if (this.#timer !== undefined) this.stop()
    const now = this.#now()
    this.#until = now + GATHER_MS
    for (const line of lines) {
      let member = this.#members.get(line)
      if (member === undefined) this.#members.set(line, (member = { answered: undefined, prompt: false }))
      if (member.answered === undefined && member.prompt) this.#missing++
      member.answered = now
    }
  }

  left(line: string): void {
    const member = this.#members.get(line)
    if (member?.answered !== undefined && member.prompt) this.#missing--
    this.#members.delete(line)
  }

  /** Whether the next group should still wait. */
  get waits(): boolean {
    if (this.#missing === 0) return false
    if (this.#now() >= this.#until) {
      this.#over()
      return false
    }
    // The processes that are waited for need this one's processor: no turning of the loop until they come.
    this.#timer ??= setTimeout(() => {
      this.#over()
      this.#onOver()
    }, GATHER_MS)
    return true
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  /** Those who have not come are not waited for again before they were quick once more. */
  #over(): void {
    this.stop()
    for (const member of this.#members.values()) if (member.answered !== undefined) member.prompt = false
    this.#missing = 0
  }
}
