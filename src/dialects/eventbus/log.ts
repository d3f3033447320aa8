import { appendFileSync, renameSync, statSync } from 'node:fs'
import type { Platform } from '../../platform/index.ts'
import { MAX_LOG_BYTES } from './limits.ts'

export type BusLog = (text: string) => void

/** Appends lines to a file of ours (0600). At the start a long one is put aside, under the same name with `.1`. */
export function openLog(platform: Pick<Platform, 'stat'>, path: string, maxLogBytes: number = MAX_LOG_BYTES): BusLog {
  // A symbolic link is not followed: what it names may be anybody's.
  const kind = platform.stat(path)?.kind
  if (kind !== undefined && kind !== 'file') return () => {}
  if (kind === 'file' && statSync(path).size > maxLogBytes) renameSync(path, `${path}.1`)
  return (text) => {
    try {
      appendFileSync(path, `${new Date().toISOString()} ${text.replaceAll('\n', ' ')}\n`, { mode: 0o600 })
    } catch {
      // A full disk must not end the bus.
    }
  }
}
