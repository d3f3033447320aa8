import { ConclaveError } from '../errors/index.ts'
import { isTerm } from './term.ts'

/**
 * What a member is. `seeking`: it lost its primary and looks for the next. `stepping-down`: it was primary and settles what
 * it had taken. `closing`: it drains, by the user's wish.
 */
export type RoleName = 'joining' | 'secondary' | 'primary' | 'seeking' | 'stepping-down' | 'closing' | 'closed'

export type LossCause = 'gone' | 'handover' | 'unresponsive'

export type ClosedBy =
  | { readonly type: 'closed' }
  | { readonly type: 'aborted'; readonly cause: unknown }
  | { readonly type: 'failed'; readonly error: Error }

export interface Role {
  readonly name: RoleName
  /** Highest term this member took part in; 0 before the first. It only rises. */
  readonly term: number
  /** Member id of the primary, while there is one: its own as `primary`. */
  readonly primary: string | undefined
  /** `seeking`: why. `closed`: how. */
  readonly cause?: LossCause | 'lock-lost' | undefined
  readonly closed?: ClosedBy | undefined
}

export type RoleEvent =
  /** This member serves in the term. `instance`: its own id. */
  | { readonly type: 'won'; readonly term: number; readonly instance: string }
  /** A handshake with a primary succeeded. */
  | { readonly type: 'found'; readonly term: number; readonly instance: string }
  /** The link to the primary ended (for `handover`: in order). */
  | { readonly type: 'lost'; readonly cause: LossCause }
  /** The lock of this primary is no longer the workspace's (A1). */
  | { readonly type: 'lock-lost' }
  /** This primary gives its place to another member, which covers more (A7), and stays. */
  | { readonly type: 'step-down' }
  /** Stepping down is over: listener and lock are closed. */
  | { readonly type: 'handed-over' }
  | { readonly type: 'close' }
  /** Closing is over. */
  | { readonly type: 'drained' }
  | { readonly type: 'abort'; readonly cause: unknown }
  /** It cannot go on: the workspace moved, it was superseded, joining failed. */
  | { readonly type: 'failed'; readonly error: Error }

export const JOINING: Role = { name: 'joining', term: 0, primary: undefined }

/** Events that may still arrive when the member is closing or closed, and change nothing then. */
const LATE: ReadonlySet<RoleEvent['type']> = new Set(['lost', 'lock-lost', 'step-down', 'handed-over', 'close'])
const LATEST: ReadonlySet<RoleEvent['type']> = new Set([...LATE, 'drained', 'abort', 'failed'] as const)

/**
 * The next role. Returns the same object when nothing changes. Pure.
 * @throws `STALE_TERM` for a term that is not higher (`won`) or lower (`found`); `INTERNAL` for an event the state excludes
 */
export function transition(role: Role, event: RoleEvent): Role {
  if (role.name === 'closed') return LATEST.has(event.type) ? role : refuse(role, event)
  if (event.type === 'abort') return closed(role, { type: 'aborted', cause: event.cause })
  if (event.type === 'failed') return closed(role, { type: 'failed', error: event.error })
  if (role.name === 'closing') {
    if (event.type === 'drained') return closed(role, { type: 'closed' })
    return LATE.has(event.type) ? role : refuse(role, event)
  }
  switch (event.type) {
    case 'won':
    case 'found':
      return role.name === 'joining' || role.name === 'seeking' ? placed(role, event) : refuse(role, event)
    case 'lost':
      return role.name === 'secondary' ? seeking(role, event.cause) : refuse(role, event)
    case 'lock-lost':
      return role.name === 'primary' || role.name === 'stepping-down' ? stepping(role, event.type) : refuse(role, event)
    case 'step-down':
      return role.name === 'primary' ? stepping(role, 'handover') : refuse(role, event)
    case 'handed-over':
      return role.name === 'stepping-down' ? seeking(role, role.cause ?? 'handover') : refuse(role, event)
    case 'close':
      return { name: 'closing', term: role.term, primary: role.primary }
    case 'drained':
      return refuse(role, event)
  }
}

function placed(role: Role, event: Extract<RoleEvent, { readonly type: 'won' | 'found' }>): Role {
  const { term, instance } = event
  const lowest = event.type === 'won' ? role.term + 1 : Math.max(role.term, 1)
  if (!isTerm(term) || term < lowest) {
    const text = `Term ${term} is over: this member has seen term ${role.term}. Its primary no longer counts.`
    throw new ConclaveError('STALE_TERM', text, { data: { term, seen: role.term } })
  }
  return { name: event.type === 'won' ? 'primary' : 'secondary', term, primary: instance }
}

function seeking(role: Role, cause: NonNullable<Role['cause']>): Role {
  return { name: 'seeking', term: role.term, primary: undefined, cause }
}

function stepping(role: Role, cause: NonNullable<Role['cause']>): Role {
  return { name: 'stepping-down', term: role.term, primary: undefined, cause }
}

function closed(role: Role, by: ClosedBy): Role {
  return { name: 'closed', term: role.term, primary: undefined, closed: by }
}

function refuse(role: Role, event: RoleEvent): never {
  throw new ConclaveError('INTERNAL', `A member that is ${role.name} cannot be "${event.type}". Please report this.`)
}
