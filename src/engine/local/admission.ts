import { ConclaveError } from '../../errors/index.ts'
import { PROTOCOL, negotiate, type Hello } from '../../wire/handshake.ts'
import type { MemberRef } from '../../wire/peers.ts'

/** What a primary compares a hello with. */
export interface Admission {
  readonly term: number
  /** `dev:ino` of the lock. */
  readonly identity: string
  readonly primary: MemberRef
  readonly version: number
  readonly minVersion: number
  /** Whether it serves a database. */
  readonly database?: boolean | undefined
}

/**
 * Whether a member fits this primary. @returns the protocol version that both speak
 * @throws `STALE_TERM`, `VERSION_MISMATCH`, `WORKSPACE_MOVED`, `SUPERSEDED`, `INVALID_REQUEST`
 */
export function admissible(hello: Hello, { term, identity, primary, minVersion }: Admission): number {
  const version = negotiate(PROTOCOL, hello.protocol)
  if (hello.workspace !== identity) {
    const text = `The member sees workspace ${hello.workspace}, this primary serves ${identity}: the folder was moved or replaced.`
    throw new ConclaveError('WORKSPACE_MOVED', text)
  }
  if (hello.id === primary.id) throw new ConclaveError('INVALID_REQUEST', 'A primary does not connect to itself.')
  if (hello.term > term) {
    const text = `The member has seen term ${hello.term}, this primary is of term ${term}.`
    throw new ConclaveError('STALE_TERM', text)
  }
  // A command line, or a helper that has no version and no database, is of no generation.
  const ofNone = hello.version === 0 && !hello.stands
  if (hello.version < minVersion && !ofNone) {
    const text = `${primary.name} (pid ${primary.pid}) serves this workspace from version ${minVersion} on; this program is version ${hello.version}: update it.`
    throw new ConclaveError('SUPERSEDED', text, { data: { minVersion, version: hello.version } })
  }
  return version
}

/** Whether the seat is its: a later generation, or, of the same one, a member that can serve the database (rule A7). */
export function succeeds({ stands, version, database }: Hello, own: Admission): boolean {
  return stands && (version > own.version || (version === own.version && database === true && own.database !== true))
}
