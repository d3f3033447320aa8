import { readdirSync } from 'node:fs'
import type { Member } from 'conclave'

/** What this process holds: for the search for leaks. Needs --expose-gc. */
export async function usage(member: Member | undefined): Promise<object> {
  const collect = (globalThis as { gc?: () => void }).gc
  for (let i = 0; i < 3; i++) {
    collect?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  const { heapUsed, rss, external, arrayBuffers } = process.memoryUsage()
  const listeners = process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0)
  return {
    heapUsed,
    rss,
    external,
    arrayBuffers,
    listeners,
    descriptors: readdirSync('/proc/self/fd').length - 1,
    timers: process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length,
    role: member?.role,
  }
}
