import assert from 'node:assert/strict'
import type { Chaos } from './support/chaos.ts'
import { planOf, runChaos, type Report, type RunOptions } from './support/run.ts'

/** The short version of a name, as a test: the same plan each time, and no fault. */
export async function checkRounds<P extends object>(chaos: Chaos<P>, options: RunOptions): Promise<Report> {
  assert.deepEqual(planOf(chaos, options.seed, 1, options), planOf(chaos, options.seed, 1, options))
  const report = await runChaos(chaos, options)
  const faults = report.failed.flatMap(({ round, faults: all }) =>
    all.map(({ kind, text }) => `round ${round}: ${kind}: ${text}`),
  )
  const again = `npm run chaos -- ${chaos.name} --seed ${options.seed} --round ${report.failed[0]?.round}`
  assert.deepEqual(faults, [], again)
  return report
}
