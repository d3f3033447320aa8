import { ConclaveError } from '../errors/index.ts'
import type { Lock, Platform } from '../platform/platform.ts'
import { MAX_PROFILE_BYTES } from './limits.ts'

/**
 * Takes the database's own lock (rule A2): two workspaces may name one file, and then only one of them may write. Taken
 * after the workspace's lock and held as long; `<file>-lock` beside the real path, and in `<file>-lock.json` who holds it.
 * @param file the real path
 * @param workspace the folder, for the message that others get
 * @throws `DATABASE_IN_USE` naming the holder's workspace; what `tryLock` throws
 */
export function lockDatabase(platform: Platform, file: string, workspace: string): Lock {
  const path = `${file}-lock`
  const lock = platform.tryLock(path)
  if (lock === undefined) throw inUse(platform, file, path)
  try {
    platform.replaceFile(`${path}.json`, `${JSON.stringify({ workspace })}\n`)
  } catch (error) {
    lock.close()
    throw error
  }
  return lock
}

function inUse(platform: Platform, file: string, path: string): ConclaveError {
  const workspace = holderOf(platform, `${path}.json`)
  const who = workspace === undefined ? 'another workspace' : `the workspace ${workspace}`
  const text = `${file} is written by the primary of ${who}. Join that folder instead, or give this workspace a database of its own.`
  return new ConclaveError('DATABASE_IN_USE', text, { data: { file, workspace } })
}

function holderOf(platform: Platform, path: string): string | undefined {
  try {
    const { workspace } = JSON.parse(platform.readFile(path, MAX_PROFILE_BYTES) ?? '{}') as { workspace?: unknown }
    return typeof workspace === 'string' ? workspace : undefined
  } catch {
    return undefined
  }
}
