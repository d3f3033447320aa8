import { ConclaveError } from '../errors/index.ts'

/** What a uid means in this process; see `isOurUid`. */
export interface UidView {
  readonly euid: number
  /** The uid the kernel shows in place of one that our user namespace does not map; `undefined` where there is none. */
  readonly overflowUid: number | undefined
  /** Whether every uid of the machine has a name here. */
  readonly allMapped: boolean
}

/**
 * Whether a uid the kernel names is ours for certain. In a user namespace that does not map everybody, strangers and
 * maybe we ourselves all appear as the overflow uid: there equality proves nothing (rule B18).
 */
export function isOurUid(uid: number, view: UidView): boolean {
  return uid === view.euid && (uid !== view.overflowUid || view.allMapped)
}

/** Number of uids, all but the invalid -1. */
const ALL_IDS = 0xffffffff

/** Whether /proc/self/uid_map (`inside outside count` a line, ranges never overlap) maps every uid. */
export function mapsEveryId(uidMap: string): boolean {
  let mapped = 0
  for (const line of uidMap.split('\n')) {
    const count = /^\s*\d+\s+\d+\s+(\d+)\s*$/.exec(line)?.[1]
    if (count !== undefined) mapped += Number(count)
  }
  return mapped >= ALL_IDS
}

/** A setuid program runs with its owner's rights on its caller's files and environment. @throws `SETUID_REFUSED` */
export function refuseSetuid(uid: number, euid: number): void {
  if (uid === euid) return
  throw new ConclaveError(
    'SETUID_REFUSED',
    `This process was started by uid ${uid} but runs as uid ${euid} (setuid): drop the privileges first (process.setuid), then join.`,
    { data: { uid, euid } },
  )
}
