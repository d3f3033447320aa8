// Taken once: fake timers of a test replace it, and deadlines are compared with those of other processes.
const { hrtime } = process

/** CLOCK_MONOTONIC in milliseconds: one clock for the machine. performance.now() counts from the start of a thread, and takes 1 ms to load. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = hrtime()
  return seconds * 1e3 + nanoseconds / 1e6
}
