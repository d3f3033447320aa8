import type { FailoverOptions } from '../sides/failover-member.ts'
import type { Case } from '../support/bench.ts'
import type { Side } from '../support/processes.ts'

const NAME = 'failover'

export const failover: Case = {
  name: NAME,
  title: 'SIGKILL of the primary until the next call of a survivor is acknowledged by its successor',
  async run(bench) {
    await using processes = bench.processes()
    const folder = processes.folder()
    const member = (primary: FailoverOptions['primary']): Promise<Side> =>
      processes.side('failover-member', { folder, primary } satisfies FailoverOptions)
    const candidates = [await member('may'), await member('may')]
    const caller = await member('never')
    const kills = bench.count(200, 3)
    for (let kill = 0; kill < kills; kill++) {
      if (kill % 20 === 0) bench.options.log(`${NAME}: ${kill} of ${kills}`)
      const pid = await caller.ask<number>('primary')
      const ms = await caller.ask<number>('after', { pid })
      bench.add({ case: NAME, subject: 'conclave', metric: 'to the next call' }, 'ms', ms)
      const dead = candidates.findIndex((side) => side.pid === pid)
      candidates[dead] = await member('may')
    }
    for (const [metric, part] of [
      ['p90', 0.9],
      ['p99', 0.99],
    ] as const) {
      const value = bench.results.quantile({ case: NAME, subject: 'conclave', metric: 'to the next call' }, part)
      bench.add({ case: NAME, subject: 'conclave', metric: `to the next call, ${metric}` }, 'ms', value)
    }
  },
}
