import { readFileSync } from 'node:fs'
import { LINGER_POLL_MS } from './limits.ts'

/** Whether the process still runs; one that has ended and was not collected by its parent does not. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  return !isZombie(pid)
}

/** Where there is no /proc, an uncollected process counts as running. */
function isZombie(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat[stat.lastIndexOf(')') + 2] === 'Z'
  } catch {
    return false
  }
}

/**
 * Calls back once: when the process has ended, or after `limitMs`.
 * @param pid 0: not known, only the time counts
 * @returns how to take it back
 */
export function whenGone(pid: number, limitMs: number, gone: () => void): () => void {
  const endMs = performance.now() + limitMs
  const look = (): void => {
    if (performance.now() < endMs && (pid === 0 || isRunning(pid))) return
    clearInterval(timer)
    gone()
  }
  const timer = setInterval(look, LINGER_POLL_MS)
  timer.unref()
  return () => clearInterval(timer)
}
