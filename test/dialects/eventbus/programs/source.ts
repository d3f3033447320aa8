/** A source that a started bus loads: one event at a time, until it is told to end. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { SourceRunner } from '../../../../src/dialects/eventbus/index.ts'

export const source: SourceRunner = async (own, { signal }) => {
  own.status('connected')
  for (let n = 1; !signal.aborted; n++) {
    own.publish({ eventType: 'a', payload: n })
    await sleep(10, undefined, { signal }).catch(() => {})
  }
}
