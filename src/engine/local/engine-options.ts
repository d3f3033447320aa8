import { allowance, type Announcement, type RoleName, type Verb, type Workspace } from '../../election/index.ts'
import { ConclaveError } from '../../errors/index.ts'
import type { Transport } from '../../transport/index.ts'
import { PROTOCOL, type Hello } from '../../wire/handshake.ts'
import type { MemberRef } from '../../wire/peers.ts'
import { compareProfile, readProfile } from '../../sqlite/profile.ts'
import type { CloseReason } from '../engine.ts'
import { DEFER_MS } from './limits.ts'
import type { PrimaryDatabase } from './primary-database.ts'
import type { StartWork } from './primary-work.ts'

export interface LocalEngineOptions {
  readonly workspace: Workspace
  readonly transport: Transport
  readonly name: string
  readonly pid: number
  readonly version: number
  readonly minVersion: number
  readonly primary: 'may' | 'never' | 'must'
  readonly waitMs: number
  readonly ref: boolean
  readonly limits: Readonly<Record<string, number | undefined>>
  readonly database?: PrimaryDatabase | undefined
  /** Runs in the primary before it serves; a rejection gives the seat up. */
  readonly whilePrimary?: StartWork | undefined
}

/**
 * How a member introduces itself. @param term the highest it has seen
 * @param failed it could not serve when it last had the seat: whoever serves now keeps it (rule A7)
 */
export function helloOf(options: LocalEngineOptions, self: MemberRef, term: number, failed: boolean): Hello {
  const { workspace, version, minVersion, database } = options
  return {
    protocol: PROTOCOL,
    workspace: workspace.identity() ?? '',
    ...self,
    term,
    version,
    minVersion,
    stands: mayStand(options) && !failed,
    database: database === undefined ? undefined : true,
  }
}

/** Whether this member may be primary: it wants to, and can serve the database that the workspace has (rule A7). @throws `PROFILE_MISMATCH` */
export function mayStand({ workspace, primary, database }: LocalEngineOptions): boolean {
  if (database !== undefined) return database.mayStand() && primary !== 'never'
  return primary !== 'never' && compareProfile(readProfile(workspace), undefined).verdict === 'covers'
}

/** Whether a search stands for election, and how long it goes on. */
export function patienceOf(
  { primary, waitMs }: LocalEngineOptions,
  search: {
    readonly able: boolean
    readonly first: boolean
    readonly deadline: number
    /** Until then the seat is left to a newer version. */
    readonly deferUntil: number
    readonly now: number
  },
): { readonly stand: boolean; readonly deadline: number; readonly waitUntil: number | undefined } {
  const { able, first, deadline, deferUntil, now } = search
  const stand = able && now >= deferUntil
  // One that would stand and can't waits a little: a capable one may be on its way.
  const patience = primary === 'may' ? Math.max(waitMs, DEFER_MS) : waitMs
  return {
    stand,
    // One that leaves the seat to a newer version comes back to stand when nobody took it.
    deadline: stand || !able ? deadline : Math.min(deadline, deferUntil),
    waitUntil: primary === 'may' && able ? undefined : first ? now + patience : Infinity,
  }
}

/** Nobody is primary, and this member, which would stand, can't serve the workspace's database. */
export function cannotServe(workspace: Workspace, cause: unknown): ConclaveError {
  const text = `Nobody serves ${workspace.label}, and this program can't: the workspace has a database with migrations that it doesn't bring. Start a program that does, or join with its \`database\` option.`
  return new ConclaveError('PROFILE_MISMATCH', text, { cause })
}

/** For `primary: 'must'`. */
export function primaryExists(workspace: Workspace, { instance, name, pid }: Announcement): ConclaveError {
  const text = `${workspace.label} has a primary already: ${name} (pid ${pid}). It must end before this program can serve.`
  return new ConclaveError('PRIMARY_EXISTS', text, { data: { id: instance, name, pid } })
}

/**
 * Why a verb is refused in a member's state; `undefined` when it isn't.
 * @param ending what ended the member
 * @param nested what a handler asks for while the member closes, which is part of what was taken (rule A13)
 */
export function refusalOf(
  role: RoleName,
  verb: Verb,
  ending: ConclaveError | undefined,
  nested?: boolean,
): ConclaveError | undefined {
  const allowed = allowance(role, verb)
  if (allowed === 'now' || allowed === 'wait') return undefined
  if (nested === true && role === 'closing') return undefined
  const { code = allowed, message = `This member is ${role}: join again to go on.`, cause } = ending ?? {}
  return new ConclaveError(code, message, { cause, outcome: 'not-committed' })
}

/** What ends a member for good when its search for a primary meets it; `undefined` for what a later try may overcome. */
export function endOf(error: unknown): Extract<CloseReason, { readonly error: ConclaveError }> | undefined {
  if (ConclaveError.is(error, 'WORKSPACE_MOVED', 'UNSAFE_WORKSPACE', 'FOREIGN_WORKSPACE', 'LOCK_UNRELIABLE')) {
    return { type: 'workspace-gone', error }
  }
  return ConclaveError.is(error, 'SUPERSEDED', 'VERSION_MISMATCH', 'PROFILE_MISMATCH')
    ? { type: 'superseded', error }
    : undefined
}
