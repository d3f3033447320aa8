import type { Answer } from './answer.ts'
import type { Entry } from './entry.ts'
import { GROUP_BYTES, GROUP_TURN_WRITES, GROUP_WRITES } from './limits.ts'
import type { FairQueue } from './queue.ts'
import type { Job } from './writer.ts'

/** What one member has in a group. */
interface Share {
  readonly entries: Entry[]
  /** Where the next turn goes on. */
  entry: number
  job: number
}

/**
 * Writes that are to commit together. Members take turns of some writes each, so that a group that is cut short has done as
 * much for each; the writes of one member stay in their order.
 */
export class Group {
  readonly entries: Entry[] = []
  readonly jobs: Job[] = []
  readonly #of: Entry[] = []

  /** Takes as much as commits together, up to a transaction. */
  constructor(queue: FairQueue<Entry>) {
    const shares = new Map<string, Share>()
    let [bytes, count] = [0, 0]
    while (count < GROUP_WRITES) {
      const next = queue.peek()
      if (next === undefined || next.begin !== undefined) break
      bytes += next.bytes
      if (bytes > GROUP_BYTES && count > 0) break
      count += next.count
      queue.take()
      this.entries.push(next)
      const share = shares.get(next.line)
      if (share === undefined) shares.set(next.line, { entries: [next], entry: 0, job: next.answers.length })
      else share.entries.push(next)
    }
    for (const most = Math.min(count, GROUP_WRITES); this.jobs.length < most;) {
      for (const share of shares.values()) this.#turn(share, Math.min(GROUP_TURN_WRITES, most - this.jobs.length))
    }
  }

  /** The first jobs have these answers. @returns entries with jobs left, in their order */
  answered(answers: readonly Answer[]): Entry[] {
    for (let at = 0; at < answers.length; at++) this.#of[at]!.answers.push(answers[at]!)
    return this.entries.filter((entry) => !entry.done)
  }

  #turn(share: Share, most: number): void {
    for (let left = most; left > 0;) {
      const entry = share.entries[share.entry]
      if (entry === undefined) return
      if (share.job === entry.jobs.length) {
        share.entry++
        share.job = share.entries[share.entry]?.answers.length ?? 0
        continue
      }
      this.jobs.push(entry.jobs[share.job++]!)
      this.#of.push(entry)
      left--
    }
  }
}
