import type { Lock } from '../../platform/index.ts'
import { pause } from '../shared/abort.ts'
import { inUse, type Place } from '../shared/place.ts'
import { LOCK_RETRY_MS, MAX_PID_FILE_BYTES } from './limits.ts'
import type { BusFiles } from './paths.ts'

/**
 * The lock of a bus, for its life. It may be held for a moment by somebody who only looks, or by a bus that is ending.
 * @throws `SOCKET_IN_USE`
 */
export async function takeAliveLock(
  { platform }: Place,
  files: BusFiles,
  waitMs: number,
  signal: AbortSignal | undefined,
): Promise<Lock> {
  const endMs = performance.now() + waitMs
  for (;;) {
    // Looked at before: a process that stood still tries once more.
    const late = performance.now() >= endMs
    const lock = platform.tryLock(files.aliveLock)
    if (lock?.stillOurs() === true) return lock
    lock?.close()
    if (late) throw inUse(files.socket)
    await pause(LOCK_RETRY_MS, signal)
  }
}

export interface PidFile {
  readonly pid: number
  /** RFC 3339. */
  readonly startedAt: string
}

export function writePidFile({ platform }: Place, files: BusFiles, { pid, startedAt }: PidFile): void {
  platform.replaceFile(files.pid, `${pid}\n${startedAt}`)
}

/** `undefined` when there is none, or none that means anything. */
export function readPidFile({ platform }: Pick<Place, 'platform'>, files: BusFiles): PidFile | undefined {
  let text: string | undefined
  try {
    text = platform.readFile(files.pid, MAX_PID_FILE_BYTES)
  } catch {
    return undefined
  }
  const [, pid, startedAt] = /^(\d{1,10})\n(\S+)\s*$/.exec(text ?? '') ?? []
  return pid === undefined || startedAt === undefined ? undefined : { pid: Number(pid), startedAt }
}
