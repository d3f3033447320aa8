/** What `usage` of a worker answers (test/chaos/programs/usage.ts). */
export interface Usage {
  readonly heapUsed: number
  readonly rss: number
  readonly external: number
  readonly arrayBuffers: number
  readonly listeners: number
  readonly descriptors: number
  readonly timers: number
}

/** What is reachable, in JavaScript and outside. */
export function heldBytes({ heapUsed, external }: Usage): number {
  return heapUsed + external
}

/** Bytes for each step of x, by least squares. */
export function slopeOf(points: readonly (readonly [x: number, y: number])[]): number {
  const n = points.length
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / n
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / n
  const covariance = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0)
  const variance = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  return variance === 0 ? 0 : covariance / variance
}
