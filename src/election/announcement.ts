import { posix as path } from 'node:path'
import { isEndpoint } from './endpoint.ts'
import { parseObject, readText } from './files.ts'
import { isInstance } from './instance.ts'
import { MAX_ANNOUNCEMENT_BYTES, MAX_LABEL_LENGTH, MAX_NAME_LENGTH, MAX_PROTOCOL } from './limits.ts'
import { isTerm } from './term.ts'
import type { Workspace } from './workspace.ts'

/** `starting`: the lock is held, the term raised, nobody served yet (B7). `closing`: it takes nothing new (A13). */
export type AnnouncedState = 'starting' | 'serving' | 'closing'

/** Lowest and highest protocol version spoken (C3). */
export type ProtocolRange = readonly [min: number, max: number]

/** What `primary.json` says: who is primary and where it listens. Written by the holder of the lock only. */
export interface Announcement {
  readonly state: AnnouncedState
  /** The primary's member id. */
  readonly instance: string
  readonly name: string
  /** A label: it may be of another pid namespace, or reused. */
  readonly pid: number
  readonly term: number
  /** The last term before this one that was served, as far as records show; left out for none. */
  readonly follows?: number | undefined
  /** ISO 8601, wall clock, for display. */
  readonly started_at: string
  /** `unix:<absolute path>` or `memory:<absolute path>`; while `starting`, where it will listen. */
  readonly endpoint: string
  readonly protocol: ProtocolRange
  readonly host: string
  /** The boot id of its machine, where the system tells. */
  readonly boot?: string | undefined
  /** `dev:ino` of the lock it holds: a copied announcement does not match the copy's lock (B4). */
  readonly lock: string
}

const STATES: ReadonlySet<unknown> = new Set<AnnouncedState>(['starting', 'serving', 'closing'])
const IDENTITY = /^\d{1,20}:\d{1,20}$/
/** It is printed on terminals: no control characters. */
const PRINTABLE = /^[^\u0000-\u001f\u007f-\u009f]*$/ // oxlint-disable-line no-control-regex
const ISO = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/

/**
 * A text as an announcement; whatever is not wholly of our form is none (rule B4). Unknown fields are ignored, so that
 * later versions may add some.
 */
export function parseAnnouncement(text: string): Announcement | undefined {
  if (text.length > MAX_ANNOUNCEMENT_BYTES) return undefined
  const { state, instance, name, pid, term, follows, started_at, endpoint, protocol, host, boot, lock } =
    parseObject(text) ?? {}
  if (!STATES.has(state) || !isInstance(instance) || !isTerm(term) || !isEndpoint(endpoint)) return undefined
  if (!isLabel(name, MAX_NAME_LENGTH) || !isLabel(host, MAX_LABEL_LENGTH)) return undefined
  if (!(follows === undefined || isTerm(follows))) return undefined
  if (!(boot === undefined || isLabel(boot, MAX_LABEL_LENGTH))) return undefined
  if (!Number.isSafeInteger(pid) || (pid as number) < 1) return undefined
  if (typeof started_at !== 'string' || !ISO.test(started_at)) return undefined
  if (typeof lock !== 'string' || !IDENTITY.test(lock) || !isRange(protocol)) return undefined
  return {
    state: state as AnnouncedState,
    instance,
    name,
    pid: pid as number,
    term,
    ...(follows === undefined ? {} : { follows }),
    started_at,
    endpoint,
    protocol: [protocol[0], protocol[1]],
    host,
    ...(boot === undefined ? {} : { boot }),
    lock,
  }
}

export function formatAnnouncement(announcement: Announcement): string {
  return `${JSON.stringify(announcement)}\n`
}

export function isLabel(value: unknown, maxLength: number): value is string {
  return typeof value === 'string' && value.length <= maxLength && PRINTABLE.test(value)
}

export function isRange(value: unknown): value is ProtocolRange {
  if (!Array.isArray(value) || value.length !== 2) return false
  const [min, max] = value as readonly unknown[]
  return isVersion(min) && isVersion(max) && min <= max
}

function isVersion(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_PROTOCOL
}

export type AnnouncementRecord =
  { readonly type: 'announcement'; readonly announcement: Announcement } | { readonly type: 'absent' | 'damaged' }

export function announcementPath(workspace: Workspace): string {
  return path.join(workspace.directory, 'primary.json')
}

/**
 * The file as it is, not yet compared with the lock: a record of a term. For whom to talk to see `readPrimary`. What
 * cannot be read is as good as damaged; the next look may show more.
 */
export function readAnnouncement(workspace: Workspace): AnnouncementRecord {
  try {
    return announcementRecord(workspace)
  } catch {
    return { type: 'damaged' }
  }
}

/** The same for whoever raises the term above it. @throws the system's error when the file could not be looked at */
export function announcementRecord(workspace: Workspace): AnnouncementRecord {
  const reading = readText(workspace.platform, announcementPath(workspace), MAX_ANNOUNCEMENT_BYTES)
  if (reading.type !== 'text') return { type: reading.type }
  const announcement = parseAnnouncement(reading.text)
  return announcement === undefined ? { type: 'damaged' } : { type: 'announcement', announcement }
}

/** Readers see the old or the new announcement, never a part. */
export function writeAnnouncement(workspace: Workspace, announcement: Announcement): void {
  workspace.platform.replaceFile(announcementPath(workspace), formatAnnouncement(announcement))
}

export function removeAnnouncement(workspace: Workspace): void {
  workspace.platform.remove(announcementPath(workspace))
}
