/** CLOCK_MONOTONIC in milliseconds: one clock for the machine. performance.now() counts from the start of a thread, and takes 1 ms to load. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}
