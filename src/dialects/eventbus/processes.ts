import { LINGER_POLL_MS } from './limits.ts'

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/**
 * Calls back once: when the process has ended, or after `limitMs`.
 * @param pid 0: not known, only the time counts
 * @returns how to take it back
 */
export function whenGone(pid: number, limitMs: number, gone: () => void): () => void {
  const endMs = performance.now() + limitMs
  const timer = setInterval(
    () => {
      if ((pid > 0 && isRunning(pid)) || pid === 0) if (performance.now() < endMs) return
      clearInterval(timer)
      gone()
    },
    Math.min(LINGER_POLL_MS, Math.max(1, limitMs)),
  )
  timer.unref()
  return () => clearInterval(timer)
}
