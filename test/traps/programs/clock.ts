/**
 * Loaded with --import: shifts Date by the next step of CONCLAVE_TEST_JUMPS (milliseconds, commas) at each SIGUSR2, as
 * `date -s` and NTP do. CLOCK_MONOTONIC is untouched, as in the kernel.
 */
const steps = (process.env['CONCLAVE_TEST_JUMPS'] ?? '').split(',').map(Number)
const { Date: RealDate } = globalThis
let shiftMs = 0

class ShiftedDate extends RealDate {
  constructor(...given: unknown[]) {
    if (given.length === 0) super(RealDate.now() + shiftMs)
    else super(...(given as [number]))
  }

  static override now(): number {
    return RealDate.now() + shiftMs
  }
}

globalThis.Date = ShiftedDate as DateConstructor
process.on('SIGUSR2', () => {
  shiftMs += steps.shift() ?? 0
})
