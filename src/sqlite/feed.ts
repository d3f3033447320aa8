import { ConclaveError } from '../errors/index.ts'
import type { FeedEvent, TableChange } from './changes.ts'
import type { SqlValue } from './types.ts'
import { fromWire, toWire } from './values.ts'

/** A change as the event bus carries it: keys may be bigint or bytes. */
export function feedToWire(event: FeedEvent): unknown {
  if (event.type === 'resync') return event
  return { ...event, keys: event.keys?.map((key) => (isList(key) ? key.map(toWire) : toWire(key))) }
}

/** @throws `INVALID_PARAMS` for what `feedToWire` never makes */
export function feedFromWire(data: unknown): FeedEvent {
  const { type, keys } = (typeof data === 'object' && data !== null ? data : {}) as {
    readonly type?: unknown
    readonly keys?: unknown
  }
  if (type === 'resync') return data as FeedEvent
  if (type !== 'changed') throw new ConclaveError('INVALID_PARAMS', 'This is no change of the database.')
  const list = Array.isArray(keys) ? keys : undefined
  return {
    ...(data as TableChange),
    keys: list?.map((key: unknown) => (Array.isArray(key) ? key.map(fromWire) : fromWire(key))),
  }
}

function isList(key: SqlValue | readonly SqlValue[]): key is readonly SqlValue[] {
  return Array.isArray(key)
}
