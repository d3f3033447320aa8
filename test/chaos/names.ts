import { churn } from './plans/churn.ts'
import { election } from './plans/election.ts'
import { events } from './plans/events.ts'
import { failover } from './plans/failover.ts'
import { slow } from './plans/slow.ts'
import { soak } from './plans/soak.ts'
import { writes } from './plans/writes.ts'

/** What can be asked for by name. */
export const NAMES = { election, failover, writes, events, slow, churn, soak }

export type Name = keyof typeof NAMES
