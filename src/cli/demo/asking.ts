import { setTimeout as sleep } from 'node:timers/promises'
import type { Member } from '../../index.ts'
import { monotonicMs, type Answered, type Pong } from './protocol.ts'

/** Between two calls of one process. */
const PAUSE_MS = 10
/** It waits through a change of primary. */
const PATIENCE_MS = 60_000

/**
 * Calls the primary again and again, one call after the other; tells when the first answer of a new primary came. The
 * primary's answers to itself do not count. Ends when the member is closed.
 */
export async function keepAsking(member: Member, answered: (answer: Answered) => void): Promise<void> {
  let last = 0
  let open = true
  void member.closed.then(() => {
    open = false
  })
  while (open) {
    try {
      const pong = (await member.call('ping', undefined, { idempotent: true, timeoutMs: PATIENCE_MS })) as Pong
      const atMs = monotonicMs()
      if (pong.term > last && pong.id !== member.id) answered({ term: pong.term, atMs })
      last = Math.max(last, pong.term)
    } catch {
      // Out of patience, or closed.
    }
    await sleep(PAUSE_MS, undefined, { ref: false })
  }
}
