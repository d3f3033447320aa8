/** The middle value; NaN of none. */
export function median(values: Iterable<number>): number {
  return quantile(values, 0.5)
}

/** By the nearest rank: a value that was measured, never one between two. */
export function quantile(values: Iterable<number>, part: number): number {
  const sorted = Float64Array.from(values).sort()
  const at = Math.max(0, Math.ceil(sorted.length * part) - 1)
  return sorted[at] ?? Number.NaN
}
