import { readAnnouncement, type AnnouncedState, type Announcement } from './announcement.ts'
import { inspectEndpoint } from './endpoint.ts'
import type { Workspace } from './workspace.ts'

/** Why there is nobody to talk to. */
export type AbsentReason =
  /** No `.conclave`, or no announcement in it: nobody was here, or the last one left in order. */
  | 'none'
  /** Not of our form: cut, edited, or written by something else. */
  | 'damaged'
  /** It names another lock: a copied directory, or the lock file was replaced (rule B4). */
  | 'other-lock'
  /** Its socket lies where anybody could have put it (rule B4). */
  | 'untrusted-endpoint'

export type PrimarySight =
  | { readonly state: 'absent'; readonly reason: AbsentReason }
  | { readonly state: AnnouncedState; readonly announcement: Announcement; readonly endpoint: 'present' | 'absent' }

/**
 * Who the workspace says is primary. Reads only, never touches the lock, not even shared (rule B7), so it may be asked by
 * anybody at any time. `serving` is what the primary said last: whether it lives, a connection to it tells.
 * @throws `UNSAFE_WORKSPACE`, `FOREIGN_WORKSPACE`, `INTERNAL` when its files cannot be looked at
 */
export function readPrimary(workspace: Workspace): PrimarySight {
  if (!workspace.verify()) return { state: 'absent', reason: 'none' }
  const record = readAnnouncement(workspace)
  if (record.type !== 'announcement') return { state: 'absent', reason: record.type === 'absent' ? 'none' : 'damaged' }
  const { announcement } = record
  if (announcement.lock !== workspace.identity()) return { state: 'absent', reason: 'other-lock' }
  const endpoint = inspectEndpoint(workspace.platform, announcement.endpoint)
  if (endpoint === 'untrusted') return { state: 'absent', reason: 'untrusted-endpoint' }
  return { state: announcement.state, announcement, endpoint }
}
