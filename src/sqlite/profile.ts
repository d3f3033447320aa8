import { posix as path } from 'node:path'
import { ConclaveError } from '../errors/index.ts'
import type { Workspace } from '../election/workspace.ts'
import { MAX_PROFILE_BYTES } from './limits.ts'
import type { Durability } from './types.ts'

/** What the primary of a workspace must be able to serve (rule A7). */
export interface Profile {
  /** Real path of the database. */
  readonly file: string
  readonly durability: Durability
  /** The checksums of the migrations, in order: those applied, or those a member brings. */
  readonly migrations: readonly string[]
}

export function profilePath(workspace: Workspace): string {
  return path.join(workspace.directory, 'profile.json')
}

/** `undefined`: no primary with a database has served here yet, or the file is damaged and is written anew. */
export function readProfile(workspace: Workspace): Profile | undefined {
  let value: Partial<Record<keyof Profile, unknown>> | null
  try {
    const text = workspace.platform.readFile(profilePath(workspace), MAX_PROFILE_BYTES)
    value = text === undefined ? null : (JSON.parse(text) as typeof value)
  } catch {
    return undefined
  }
  const { file, durability, migrations } = value ?? {}
  const sound =
    typeof file === 'string' &&
    (durability === 'normal' || durability === 'full') &&
    Array.isArray(migrations) &&
    migrations.every((checksum) => typeof checksum === 'string')
  // Within the workspace the path is relative, so that a folder that was moved keeps its profile.
  return sound ? { file: path.resolve(workspace.folder, file), durability, migrations } : undefined
}

/** By the primary, when it serves. */
export function writeProfile(workspace: Workspace, profile: Profile): void {
  const relative = path.relative(workspace.folder, profile.file)
  const file = relative.startsWith('..') ? profile.file : relative
  const text = `${JSON.stringify({ ...profile, file })}\n`
  if (text.length > MAX_PROFILE_BYTES) return
  workspace.platform.replaceFile(profilePath(workspace), text)
}

/**
 * Whether a member may stand. `covers`: it may. `secondary`: it brings no database, or fewer migrations than were applied:
 * it joins, and others serve. Another database, or the same one served otherwise, is a mistake, and told.
 * @param own what the member brings; `undefined` for none
 */
export function compareProfile(
  recorded: Profile | undefined,
  own: Profile | undefined,
): { readonly verdict: 'covers' | 'secondary' } | { readonly verdict: 'mismatch'; readonly error: ConclaveError } {
  if (recorded === undefined) return { verdict: 'covers' }
  if (own === undefined) return { verdict: 'secondary' }
  const differences: string[] = []
  if (own.file !== recorded.file) differences.push(`its database is ${recorded.file}, this member asks for ${own.file}`)
  if (own.durability !== recorded.durability) {
    differences.push(`its durability is "${recorded.durability}", this member asks for "${own.durability}"`)
  }
  const at = recorded.migrations.findIndex(
    (checksum, index) => index < own.migrations.length && own.migrations[index] !== checksum,
  )
  if (at >= 0) differences.push(`migration ${at + 1} was applied with another text`)
  if (differences.length > 0) {
    const text = `This workspace has a database already: ${differences.join('; ')}. Use the same settings, another \`app\`, or another folder.`
    return { verdict: 'mismatch', error: new ConclaveError('PROFILE_MISMATCH', text, { data: { recorded, own } }) }
  }
  return { verdict: own.migrations.length >= recorded.migrations.length ? 'covers' : 'secondary' }
}
