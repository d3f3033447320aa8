/** CLOCK_MONOTONIC in microseconds: one clock for all processes of the machine. */
export function now(): number {
  return Number(process.hrtime.bigint() / 1000n)
}
