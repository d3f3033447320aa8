import type { Announcement, Workspace } from '../../election/index.ts'
import { ConclaveError } from '../../errors/index.ts'
import type { Transport } from '../../transport/index.ts'
import { PROTOCOL, type Hello } from '../../wire/handshake.ts'
import type { MemberRef } from '../../wire/peers.ts'
import type { CloseReason } from '../engine.ts'
import type { StartWork } from './primary-work.ts'

export interface LocalEngineOptions {
  readonly workspace: Workspace
  readonly transport: Transport
  readonly name: string
  readonly pid: number
  readonly version: number
  readonly minVersion: number
  readonly primary: 'may' | 'never' | 'must'
  readonly waitMs: number
  readonly ref: boolean
  readonly limits: Readonly<Record<string, number | undefined>>
  /** Runs in the primary before it serves; a rejection gives the seat up. */
  readonly whilePrimary?: StartWork | undefined
}

/** How a member introduces itself; `term` is the highest it has seen. */
export function helloOf(options: LocalEngineOptions, self: MemberRef, term: number): Hello {
  const { workspace, version, minVersion, primary } = options
  return {
    protocol: PROTOCOL,
    workspace: workspace.identity() ?? '',
    ...self,
    term,
    version,
    minVersion,
    stands: primary !== 'never',
  }
}

/** For `primary: 'must'`. */
export function primaryExists(workspace: Workspace, { instance, name, pid }: Announcement): ConclaveError {
  const text = `${workspace.label} has a primary already: ${name} (pid ${pid}). It must end before this program can serve.`
  return new ConclaveError('PRIMARY_EXISTS', text, { data: { id: instance, name, pid } })
}

/** What ends a member for good when its search for a primary meets it; `undefined` for what a later try may overcome. */
export function endOf(error: unknown): Extract<CloseReason, { readonly error: ConclaveError }> | undefined {
  if (ConclaveError.is(error, 'WORKSPACE_MOVED', 'UNSAFE_WORKSPACE', 'FOREIGN_WORKSPACE', 'LOCK_UNRELIABLE')) {
    return { type: 'workspace-gone', error }
  }
  return ConclaveError.is(error, 'SUPERSEDED', 'VERSION_MISMATCH') ? { type: 'superseded', error } : undefined
}
