import { setTimeout as sleep } from 'node:timers/promises'
import type { Workspace } from '../../election/index.ts'
import type { Lock } from '../../platform/index.ts'
import { interruptionOf } from '../connect.ts'

const FIRST_PAUSE_MS = 2
const LAST_PAUSE_MS = 50

/**
 * The lock of a workspace, tried again until it is ours. There is no queue: whoever tries first after it is free has it.
 * @returns `undefined` when it was busy for all that time; @throws `Interrupted`
 */
export async function acquire(
  workspace: Workspace,
  patienceMs: number,
  signal: AbortSignal,
): Promise<Lock | undefined> {
  const endMs = performance.now() + patienceMs
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS)) {
    if (signal.aborted) throw interruptionOf(signal)
    const lock = tryOnce(workspace)
    if (lock !== undefined) return lock
    const leftMs = endMs - performance.now()
    if (leftMs <= 0) return undefined
    await sleep(Math.min(pauseMs * (0.5 + Math.random()), leftMs), undefined, { signal }).catch(() => {})
  }
}

/** A lock whose path names another file by now (deleted, replaced) excludes nobody. */
function tryOnce(workspace: Workspace): Lock | undefined {
  if (!workspace.verify()) workspace.prepare()
  const lock = workspace.platform.tryLock(workspace.lockPath)
  if (lock === undefined || lock.stillOurs()) return lock
  lock.close()
  return undefined
}
