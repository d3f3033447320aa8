import { dirname, join } from 'node:path'
import type { Platform } from '../../platform/index.ts'
import { placeOf, type Internals } from '../shared/uids.ts'
import { readPidFile } from './alive.ts'
import { MAX_DISCOVERED } from './limits.ts'
import { busFiles, eventsDirectory, type BusFiles } from './paths.ts'

export interface FoundBus {
  /** Name of its folder: the app id with what no folder can be called replaced. */
  readonly app: string
  readonly socket: string
  /** `undefined` between the lock and the pid file. */
  readonly pid: number | undefined
  readonly startedAt: string | undefined
}

/** Running buses: sub-folders of `directory` (default: the usual one) whose alive lock is held. */
export function discoverBuses(directory: string = eventsDirectory(), internals: Internals = {}): FoundBus[] {
  const { platform } = placeOf({}, internals)
  if (platform.stat(directory)?.kind !== 'directory') return []
  return platform
    .list(directory)
    .slice(0, MAX_DISCOVERED)
    .sort()
    .flatMap((app) => {
      const files = busFiles(join(directory, app, 'bus.sock'))
      if (!isAlive(platform, files)) return []
      const { pid, startedAt } = readPidFile({ platform }, files) ?? {}
      return [{ app, socket: files.socket, pid, startedAt }]
    })
}

/** A lock file that is not there is not made: looking changes nothing. */
function isAlive(platform: Platform, files: BusFiles): boolean {
  try {
    if (platform.stat(dirname(files.aliveLock))?.kind !== 'directory') return false
    if (platform.stat(files.aliveLock)?.kind !== 'file') return false
    const lock = platform.tryLock(files.aliveLock)
    lock?.close()
    return lock === undefined
  } catch {
    // Another user's, or a link to elsewhere: no bus of ours.
    return false
  }
}
