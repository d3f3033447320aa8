import { readdirSync, readFileSync } from 'node:fs'

/*
 * What Linux tells of a process (proc(5)). Elsewhere these throw, and the case is skipped with that reason.
 */

/** Resident memory in MiB. */
export function residentMiB(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
  if (kib === undefined) throw new Error('/proc tells no VmRSS')
  return Number(kib) / 1024
}

/** Processor time so far of all threads of a process and of its children, in microseconds. */
export function cpuMicroseconds(pid: number): number {
  let sum = 0
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const read = (file: string): string => readFileSync(`/proc/${pid}/task/${thread}/${file}`, 'latin1')
    sum += Number(read('schedstat').split(' ')[0]) / 1000
    for (const child of read('children').split(' ')) if (child !== '') sum += cpuMicroseconds(Number(child))
  }
  return sum
}

/** Processor time that some processes took while `work` ran, in microseconds; undefined where nobody tells. */
export async function cpuOf<T>(pids: readonly number[], work: () => Promise<T>): Promise<[T, us: number | undefined]> {
  const now = (): number | undefined => {
    try {
      return pids.reduce((sum, pid) => sum + cpuMicroseconds(pid), 0)
    } catch {
      return undefined
    }
  }
  const before = now()
  const value = await work()
  const after = now()
  return [value, before === undefined || after === undefined ? undefined : after - before]
}
