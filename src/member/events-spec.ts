import { topicMatches } from '../events/topics.ts'
import type { Contract, EventSpec } from '../rpc/contract.ts'

/** What a contract says of a topic: by its name, else by the first pattern that matches. */
export function eventOf(contract: Contract | undefined, topic: string): EventSpec | undefined {
  const events = contract?.events
  if (events === undefined) return undefined
  if (Object.hasOwn(events, topic)) return events[topic]
  for (const [pattern, spec] of Object.entries(events)) if (topicMatches(pattern, topic)) return spec
  return undefined
}
