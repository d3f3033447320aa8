import type { Code } from '../errors/index.ts'
import type { RoleName } from './role.ts'

/** The public verbs of a member, grouped by what they need. */
export type Verb =
  /** call, stream, gather, notify, publish, share, writes, run, batch, transaction, inspect: they need a primary, and can wait for one. */
  | 'request'
  /** subscribe, on, offer: in force with the call; the primary is told as soon as there is one. */
  | 'register'
  /** db.read: local and synchronous. */
  | 'read'
  /** status, closed, name, role, ref, unref: always answered. */
  | 'look'
  /** close, abort: idempotent. */
  | 'end'

/** `now`; `wait`: until there is a primary, up to the caller's deadline; or the code of the refusal. */
export type Allowance = 'now' | 'wait' | Code

const TABLE: Readonly<Record<RoleName, Readonly<Record<Verb, Allowance>>>> = {
  // Only the member's own `whilePrimary` and early subscriptions see it in this state. No data before the role is known.
  joining: { request: 'wait', register: 'now', read: 'NO_PRIMARY', look: 'now', end: 'now' },
  secondary: { request: 'now', register: 'now', read: 'now', look: 'now', end: 'now' },
  primary: { request: 'now', register: 'now', read: 'now', look: 'now', end: 'now' },
  seeking: { request: 'wait', register: 'now', read: 'now', look: 'now', end: 'now' },
  'stepping-down': { request: 'wait', register: 'now', read: 'now', look: 'now', end: 'now' },
  // Draining: what was asked before goes on, nothing new begins.
  closing: { request: 'CLOSED', register: 'CLOSED', read: 'now', look: 'now', end: 'now' },
  closed: { request: 'CLOSED', register: 'CLOSED', read: 'CLOSED', look: 'now', end: 'now' },
}

/** Whether a verb may be used in a state. Total: every state has an answer for every verb. */
export function allowance(state: RoleName, verb: Verb): Allowance {
  return TABLE[state][verb]
}
