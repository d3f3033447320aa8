import { ConclaveError, type Code } from '../errors/index.ts'
import type { Announcement } from './announcement.ts'
import { UNREACHABLE_AFTER_MS } from './limits.ts'
import type { AbsentReason } from './observe.ts'
import type { Workspace } from './workspace.ts'

/** What one round of a search saw, the lock apart: who stands and goes on searching saw it busy. */
export type Sight =
  | { readonly type: 'nobody'; readonly reason: AbsentReason }
  /** The primary that died, an older term, or one that is closing. */
  | { readonly type: 'gone'; readonly announcement: Announcement }
  | { readonly type: 'starting'; readonly announcement: Announcement }
  /** Announced, and not tried yet. */
  | { readonly type: 'serving'; readonly announcement: Announcement }
  /** The endpoint does not exist here. */
  | { readonly type: 'unreachable'; readonly announcement: Announcement }
  /** Nobody listens at the endpoint. */
  | { readonly type: 'refusing'; readonly announcement: Announcement; readonly error: unknown }
  /** Somebody is there: its queue is full, or the handshake failed. */
  | { readonly type: 'silent'; readonly announcement: Announcement; readonly error: unknown }
  /** `attempt` found a primary and wants to be one itself. */
  | { readonly type: 'exists'; readonly announcement: Announcement; readonly error: ConclaveError }

export interface Circumstances {
  readonly workspace: Workspace
  readonly stand: boolean
  /** It looked long enough to believe silence. */
  readonly confirmed: boolean
  readonly pastDeadline: boolean
  /** Nobody may be absent any longer. */
  readonly pastWait: boolean
  /** For how long every round has shown this. */
  readonly lastedMs: number
}

/** The error a search ends with, or `undefined`: go on. Pure. */
export function judge(sight: Sight, at: Circumstances): ConclaveError | undefined {
  return at.stand ? judgeStanding(sight, at) : judgeOnlooker(sight, at)
}

/** The lock is busy: somebody holds it, on this machine or on another. */
function judgeStanding(sight: Sight, at: Circumstances): ConclaveError | undefined {
  const { workspace } = at
  const over = at.pastDeadline && at.confirmed
  const lasting = at.lastedMs >= UNREACHABLE_AFTER_MS
  switch (sight.type) {
    case 'exists':
      return at.pastWait && at.confirmed ? sight.error : undefined
    case 'nobody':
      return over ? unannounced(workspace, sight.reason) : undefined
    case 'gone':
    case 'serving':
    case 'silent':
      return over ? unresponsive(workspace, sight) : undefined
    case 'starting':
      if (isForeign(workspace, sight.announcement) && (lasting || over)) return remote(workspace, sight.announcement)
      return over ? starting(workspace, sight.announcement) : undefined
    case 'unreachable':
    case 'refusing':
      if (!over && !(lasting && (sight.type === 'unreachable' || isForeign(workspace, sight.announcement))))
        return undefined
      if (isForeign(workspace, sight.announcement)) return remote(workspace, sight.announcement)
      return sight.type === 'unreachable' ? unreachable(workspace, sight.announcement) : unresponsive(workspace, sight)
  }
}

/** The lock may not be touched: an announcement that nobody answers to means nobody. */
function judgeOnlooker(sight: Sight, at: Circumstances): ConclaveError | undefined {
  const { workspace } = at
  switch (sight.type) {
    case 'exists':
      return at.pastWait && at.confirmed ? sight.error : undefined
    case 'nobody':
      return at.pastWait && (at.confirmed || sight.reason === 'none') ? nobody(workspace) : undefined
    case 'serving':
    case 'silent':
      return at.pastDeadline && at.confirmed ? unresponsive(workspace, sight) : undefined
    case 'starting':
      if (!at.pastWait || !at.confirmed) return undefined
      // Written before this machine was restarted: its writer is dead.
      return isForeign(workspace, sight.announcement) ? nobody(workspace) : starting(workspace, sight.announcement)
    case 'gone':
    case 'unreachable':
    case 'refusing':
      return at.pastWait && at.confirmed ? nobody(workspace, sight.announcement) : undefined
  }
}

function isForeign(workspace: Workspace, { boot }: Announcement): boolean {
  const own = workspace.platform.bootId
  return boot !== undefined && own !== undefined && boot !== own
}

function nobody({ label }: Workspace, last?: Announcement): ConclaveError {
  const who = last === undefined ? '' : ` The last one was ${describe(last)}; it does not answer.`
  const text = `Nobody is primary of ${label}.${who} Start a member that may become primary, or wait for one (waitMs).`
  return failure('NO_PRIMARY', text, last)
}

function starting({ label }: Workspace, primary: Announcement): ConclaveError {
  const text = `The primary of ${label} is still starting (${describe(primary)}, since ${primary.started_at}); it may be migrating its database. Wait longer, or look at that process.`
  return failure('PRIMARY_STARTING', text, primary)
}

function unresponsive({ label }: Workspace, sight: Sight & { readonly announcement: Announcement }): ConclaveError {
  const { announcement: primary } = sight
  const text = `The primary of ${label} does not answer (${describe(primary)}). It holds the lock, so nobody may take over: it is stopped, in a debugger or busy. Continue it (kill -CONT ${primary.pid}) or end it.`
  return failure('PRIMARY_UNRESPONSIVE', text, primary, 'error' in sight ? sight.error : undefined)
}

function unannounced({ label, lockPath }: Workspace, reason: AbsentReason): ConclaveError {
  const why: Readonly<Record<AbsentReason, string>> = {
    none: 'no primary has announced itself',
    damaged: 'primary.json beside it is damaged',
    'other-lock': 'primary.json beside it belongs to another lock (a copy?)',
    'untrusted-endpoint': 'primary.json beside it names a socket outside a private directory of ours',
  }
  const text = `Somebody holds the lock of ${label}, but ${why[reason]}. Find the holder with: lsof ${lockPath}`
  return failure('PRIMARY_UNRESPONSIVE', text, undefined, undefined, reason)
}

function unreachable({ label }: Workspace, primary: Announcement): ConclaveError {
  const text = `The primary of ${label} (${describe(primary)}) holds the lock, but its socket ${primary.endpoint} does not exist here. Usual causes: it runs in another container or sandbox, or as a service with PrivateTmp, and its directory of sockets is not shared; systemd removed /run/user/<uid> at logout; a cleaner emptied /tmp. Share that directory, or restart that process.`
  return failure('PRIMARY_UNREACHABLE', text, primary)
}

function remote({ label }: Workspace, primary: Announcement): ConclaveError {
  const text = `The primary of ${label} runs on another machine or virtual machine: ${primary.host}, ${describe(primary)}. Sockets do not reach there. Use a folder of this machine's own.`
  return failure('REMOTE_PRIMARY', text, primary)
}

function describe({ name, pid, term }: Announcement): string {
  return `"${name}", pid ${pid}, term ${term}`
}

function failure(code: Code, text: string, primary?: Announcement, cause?: unknown, reason?: string): ConclaveError {
  return new ConclaveError(code, text, { cause, reason, data: primary === undefined ? undefined : { primary } })
}
