import { ConclaveError } from '../errors/index.ts'
import type { Lock } from '../platform/platform.ts'
import type { Announcement } from './announcement.ts'
import { judge, type Sight } from './diagnosis.ts'
import { errnoOf } from './files.ts'
import {
  CONFIRM_MS,
  FIRST_PAUSES_MS,
  LOST_GRACE_MS,
  PAUSE_MAX_MS,
  PAUSE_MIN_MS,
  RETRY_FIRST_MS,
  RETRY_LAST_MS,
  SLOW_AFTER_MS,
  SLOW_FACTOR,
} from './limits.ts'
import { readPrimary } from './observe.ts'
import { guarded } from './refused.ts'
import { BackOff, oneTurn, sleep } from './wait.ts'
import type { Workspace } from './workspace.ts'

export interface SeekOptions<T> {
  /** True: tries the lock. False (`primary: 'never'`, observers): never touches it, not even shared (B7). */
  readonly stand: boolean
  /**
   * Connects to an announced primary (`endpointPath(announcement.endpoint)`) and shakes hands. It rejects when that fails;
   * when `signal` aborts it closes what it opened and rejects. Tried again after a retryable `ConclaveError`,
   * `STALE_TERM`, or a system error in `data.errno`; any other rejection ends the search.
   * `PRIMARY_EXISTS` (for `primary: 'must'`) ends it at `waitUntil`.
   */
  readonly attempt: (announcement: Announcement, signal: AbortSignal) => Promise<T>
  /** The end of the search, handshake included: a time of `platform.now()`. Infinity is allowed. */
  readonly deadline: number
  /** How long it may be that nobody is there: a time of `platform.now()`. For those who never stand. Default and most: `deadline`. */
  readonly waitUntil?: number | undefined
  /** The primary whose link broke. What it announced in that term does not count, until the lock was busy for 0.1 s more (A9). */
  readonly lost?: { readonly instance: string; readonly term: number } | undefined
  /** The workspace's identity as this member knows it; another one, or none, is `WORKSPACE_MOVED` (B3). */
  readonly identity?: string | undefined
  readonly signal?: AbortSignal | undefined
  /** False: the search does not keep the process alive. Default true. */
  readonly ref?: boolean | undefined
  /** 0 (included) to 1 (not included), for the jitter. Default `Math.random`. */
  readonly random?: (() => number) | undefined
  /** How to wait: may end early when the signal aborts, never rejects. Default: timers. */
  readonly sleep?: ((ms: number, signal?: AbortSignal) => Promise<void>) | undefined
}

export type Sought<T> =
  | { readonly type: 'won'; readonly lock: Lock }
  | { readonly type: 'found'; readonly link: T; readonly announcement: Announcement }

/**
 * Repeats { try the lock; read the announcement; connect if its instance differs from the dead one } until this process
 * holds the lock, a handshake succeeds, or it is clear that neither will be (A9). At least one round is made, and about
 * `CONFIRM_MS` are taken before silence is believed, whatever the deadline.
 *
 * @returns `won`: the lock is the caller's to close. `found`: the link is.
 * @throws `NO_PRIMARY` (never standing, nobody there), `PRIMARY_STARTING`, `PRIMARY_UNRESPONSIVE`, `PRIMARY_UNREACHABLE`,
 * `REMOTE_PRIMARY`, `WORKSPACE_MOVED`, `ABORTED`; what the lock, the directory or `attempt` throws
 */
export async function seek<T>(workspace: Workspace, options: SeekOptions<T>): Promise<Sought<T>> {
  const { platform } = workspace
  const { stand, deadline, signal, lost, ref = true, random = Math.random } = options
  const wait = options.sleep ?? ((ms: number, until?: AbortSignal) => sleep(ms, { signal: until, ref }))
  const startMs = platform.now()
  const waitUntil = Math.min(options.waitUntil ?? deadline, deadline)
  const attemptsEndMs = Math.max(deadline, startMs + CONFIRM_MS)
  let seen: { readonly sight: Sight; readonly sinceMs: number } | undefined
  let rest: Rest | undefined

  for (let round = 0; ; round++) {
    refuseAborted(signal)
    if (stand) {
      const lock = tryLock(workspace, options.identity)
      if (lock !== undefined) return { type: 'won', lock }
    } else {
      refuseMoved(workspace, options.identity)
    }

    let sight = look(workspace, lost, platform.now() - startMs < LOST_GRACE_MS)
    if (sight.type === 'serving') {
      const { announcement } = sight
      if (rest?.instance === announcement.instance && platform.now() < rest.untilMs) {
        sight = rest.sight
      } else {
        const tried = await tryOnce(announcement, options, attemptsEndMs - platform.now(), wait)
        if (tried.type === 'found') return tried
        refuseAborted(signal)
        sight = afterFailure(announcement, tried.error)
        rest = restAfter(rest, sight, platform.now())
      }
    }

    const nowMs = platform.now()
    if (seen === undefined || !isSame(seen.sight, sight)) seen = { sight, sinceMs: nowMs }
    const verdict = judge(sight, {
      workspace,
      stand,
      confirmed: nowMs >= startMs + CONFIRM_MS,
      pastDeadline: nowMs >= deadline,
      pastWait: nowMs >= waitUntil,
      lastedMs: nowMs - seen.sinceMs,
    })
    if (verdict !== undefined) throw verdict

    const slow = nowMs - startMs > SLOW_AFTER_MS ? SLOW_FACTOR : 1
    const pauseMs = FIRST_PAUSES_MS[round] ?? slow * (PAUSE_MIN_MS + random() * (PAUSE_MAX_MS - PAUSE_MIN_MS))
    await wait(Math.min(pauseMs, untilDecision(nowMs, [startMs + CONFIRM_MS, waitUntil, deadline])), signal)
  }
}

/** No pause reaches over a time at which the verdict may change. */
function untilDecision(nowMs: number, times: readonly number[]): number {
  return Math.min(...times.filter((ms) => ms > nowMs).map((ms) => ms - nowMs))
}

function tryLock(workspace: Workspace, identity: string | undefined): Lock | undefined {
  if (identity === undefined) {
    if (!workspace.verify()) workspace.prepare()
  } else {
    refuseMoved(workspace, identity)
  }
  let lock: Lock | undefined
  try {
    lock = guarded('write', workspace.lockPath, () => workspace.platform.tryLock(workspace.lockPath))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined // the directory went in between; the next round makes it again
    throw error
  }
  if (lock === undefined) return undefined
  if (!lock.stillOurs()) {
    lock.close()
    return undefined
  }
  if (identity === undefined || lock.identity === identity) return lock
  lock.close()
  throw moved(workspace)
}

function refuseMoved(workspace: Workspace, identity: string | undefined): void {
  if (identity !== undefined && !(workspace.verify() && workspace.identity() === identity)) throw moved(workspace)
}

function moved(workspace: Workspace): ConclaveError {
  const text = `${workspace.label} is no longer the workspace this member joined: its .conclave was deleted, moved or replaced. Join again.`
  return new ConclaveError('WORKSPACE_MOVED', text)
}

function look(workspace: Workspace, lost: SeekOptions<unknown>['lost'], inGrace: boolean): Sight {
  const primary = readPrimary(workspace)
  if (primary.state === 'absent') return { type: 'nobody', reason: primary.reason }
  const { announcement } = primary
  if (lost !== undefined) {
    const same = announcement.instance === lost.instance
    // Terms rise, so this is another workspace, whose lock file was given the number of the deleted one (B3).
    if (!same && announcement.term <= lost.term) throw moved(workspace)
    if (announcement.term < lost.term) return { type: 'gone', announcement }
    if (same && announcement.term === lost.term && inGrace) return { type: 'gone', announcement }
  }
  if (primary.state === 'starting') return { type: 'starting', announcement }
  if (primary.state === 'closing') return { type: 'gone', announcement }
  if (primary.endpoint === 'absent') return { type: 'unreachable', announcement }
  return { type: 'serving', announcement }
}

/** Two looks that show the same thing: then it lasts. */
function isSame(a: Sight, b: Sight): boolean {
  if (a.type !== b.type) return false
  const [x, y] = [announcementOf(a), announcementOf(b)]
  return x?.instance === y?.instance && x?.term === y?.term && x?.endpoint === y?.endpoint
}

function announcementOf(sight: Sight): Announcement | undefined {
  return 'announcement' in sight ? sight.announcement : undefined
}

/** @throws the error when trying again cannot help */
function afterFailure(announcement: Announcement, error: unknown): Sight {
  if (ConclaveError.is(error, 'PRIMARY_EXISTS')) return { type: 'exists', announcement, error }
  const errno = errnoOf(error)
  if (errno === 'ENOENT') return { type: 'unreachable', announcement }
  if (errno === 'ECONNREFUSED') return { type: 'refusing', announcement, error }
  const passes = ConclaveError.is(error) ? error.retryable || error.code === 'STALE_TERM' : errno !== undefined
  if (!passes) throw error
  return { type: 'silent', announcement, error }
}

type Tried<T> = Extract<Sought<T>, { type: 'found' }> | { readonly type: 'failed'; readonly error: unknown }

/** One attempt, ended by its time (after one more turn of the loop, B1) or the caller's signal. */
async function tryOnce<T>(
  announcement: Announcement,
  options: SeekOptions<T>,
  ms: number,
  wait: (ms: number, signal?: AbortSignal) => Promise<void>,
): Promise<Tried<T>> {
  const cancel = new AbortController()
  const done = new AbortController()
  const onAbort = (): void => {
    cancel.abort(options.signal?.reason)
    done.abort()
  }
  options.signal?.addEventListener('abort', onAbort)
  const attempt = async (): Promise<Tried<T>> => {
    try {
      return { type: 'found', link: await options.attempt(announcement, cancel.signal), announcement }
    } catch (error) {
      return { type: 'failed', error }
    }
  }
  const cut = async (): Promise<Tried<T>> => {
    await wait(Math.max(0, ms), done.signal)
    await oneTurn(options.ref)
    return { type: 'failed', error: new ConclaveError('TIMEOUT', 'The handshake was not over at the deadline.') }
  }
  try {
    const tried = await Promise.race([attempt(), cut()])
    if (tried.type === 'failed') cancel.abort(tried.error)
    return tried
  } finally {
    done.abort()
    options.signal?.removeEventListener('abort', onAbort)
  }
}

/** A primary that is there and refused a handshake is left in peace for a while; one that cannot be connected to is not. */
interface Rest {
  readonly instance: string
  readonly untilMs: number
  readonly sight: Sight
  readonly backOff: BackOff
}

function restAfter(last: Rest | undefined, sight: Sight, nowMs: number): Rest | undefined {
  if (sight.type !== 'silent' || errnoOf(sight.error) !== undefined) return undefined
  const { instance } = sight.announcement
  const backOff = last?.instance === instance ? last.backOff : new BackOff(RETRY_FIRST_MS, RETRY_LAST_MS)
  return { instance, untilMs: nowMs + backOff.next(), sight, backOff }
}

function refuseAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted === true) {
    throw new ConclaveError('ABORTED', 'Joining was aborted.', { cause: signal.reason })
  }
}
