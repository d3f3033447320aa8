/** Connections with kept bytes. Empty almost always. */
const waiting = new Set<() => void>()

/**
 * Has `flush` called when the process exits, unless it is taken back before: what was written just before
 * `process.exit()` still goes as far as the kernel takes it (rules B12, F4). One listener for all.
 */
export function flushAtExit(flush: () => void): void {
  if (waiting.size === 0) process.on('exit', flushAll)
  waiting.add(flush)
}

export function flushed(flush: () => void): void {
  if (waiting.delete(flush) && waiting.size === 0) process.off('exit', flushAll)
}

function flushAll(): void {
  for (const flush of waiting) flush()
}
