import { posix as path } from 'node:path'
import type { FileStat, Platform } from '../platform/platform.ts'
import { endpointPath, inspectEndpoint, isEndpointName } from './endpoint.ts'
import { identityOf } from './files.ts'
import { SWEEP_AGE_MS, SWEEP_MAX, SWEEP_PAUSE_MS } from './limits.ts'
import { sleep } from './wait.ts'
import type { Workspace } from './workspace.ts'

/**
 * Unlinks the endpoint of the announcement that is being replaced. Only under the lock, and only what is a socket of ours.
 * Never throws: a dead socket harms nobody, and what stays is for the sweep.
 */
export function removeReplaced(platform: Platform, endpoint: string): void {
  try {
    if (inspectEndpoint(platform, endpoint) === 'present') platform.remove(endpointPath(endpoint))
  } catch {
    // As above.
  }
}

/** A file of ours that has not got its name yet. That of `.gitignore` is made by whoever joins, without the lock. */
const UNFINISHED = /^(?!\.gitignore\.).+\.[0-9a-f]{12}\.tmp$/

/**
 * Removes what primaries left that were killed between writing a file and giving it its name. For the holder of the lock,
 * when it serves; never throws.
 */
export function removeUnfinished({ platform, directory }: Workspace): void {
  try {
    for (const name of platform.list(directory)) if (UNFINISHED.test(name)) platform.remove(path.join(directory, name))
  } catch {
    // The next primary tries again.
  }
}

export interface SweepOptions {
  /** Whether a connection to the path is refused: nobody listens. Other failures (EAGAIN, a timeout) are not. */
  readonly refuses: (path: string) => boolean | Promise<boolean>
  readonly signal?: AbortSignal | undefined
  /** Wall clock in ms, as files have it. Default `Date.now`. */
  readonly wallClock?: (() => number) | undefined
  readonly pause?: ((ms: number) => Promise<void>) | undefined
}

/**
 * Removes sockets that dead primaries left in the runtime directory, of whatever workspace: of our form, ours, older than a day,
 * and refusing connections twice, a second apart (rule B5: a socket that is bound and not listening yet looks dead, too).
 * For a primary that serves already; never rejects.
 * @returns the paths removed
 */
export async function sweepEndpoints(platform: Platform, options: SweepOptions): Promise<readonly string[]> {
  const { refuses, signal, wallClock = Date.now } = options
  const pause = options.pause ?? ((ms: number) => sleep(ms, { signal, ref: false }))
  const oldest = wallClock() - SWEEP_AGE_MS
  const removed: string[] = []
  try {
    const directory = platform.runtimeDirectory()
    const names = platform.list(directory).filter(isEndpointName).slice(0, SWEEP_MAX)
    const silent: [at: string, identity: string][] = []
    for (const name of names) {
      const at = path.join(directory, name)
      const stat = platform.stat(at)
      if (stat !== undefined && isOld(platform, stat, oldest) && (await refuses(at)))
        silent.push([at, identityOf(stat)])
    }
    if (silent.length === 0) return removed
    await pause(SWEEP_PAUSE_MS)
    for (const [at, identity] of silent) {
      if (signal?.aborted === true || !(await refuses(at))) continue
      const stat = platform.stat(at)
      if (stat === undefined || identityOf(stat) !== identity) continue
      platform.remove(at)
      removed.push(at)
    }
  } catch {
    // Tidying up is nobody's reason to fail; the next primary tries again.
  }
  return removed
}

function isOld(platform: Platform, stat: FileStat, oldest: number): boolean {
  return stat.kind === 'socket' && platform.isOurUid(stat.uid) && stat.modifiedMs < oldest
}
