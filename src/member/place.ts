import { openWorkspace, type Workspace } from '../election/index.ts'
import { ConclaveError } from '../errors/index.ts'
import { refuseSetuid } from '../platform/identity.ts'
import { posixPlatform } from '../platform/posix.ts'
import type { Transport } from '../transport/transport.ts'
import { unixTransport } from '../transport/unix.ts'
import { fileURLToPath } from 'node:url'
import type { Place } from './types.ts'

/** What a place hands to `join()`: where members meet, and what carries their bytes. */
export interface OpenedPlace {
  readonly workspace: Workspace
  readonly transport: Transport
  readonly pid: number
  /** Told of the member that joins through it, before it does. */
  readonly joining?: ((memberId: string, abort: (reason: unknown) => void) => void) | undefined
}

export interface PlaceOptions {
  readonly app: string | undefined
  /** Whether a missing `.conclave` is made. */
  readonly create: boolean
}

/** How a place other than a folder opens. By `Symbol.for`, so that two copies of the package agree. */
export const OPEN_PLACE: unique symbol = Symbol.for('conclave.place.open') as never

export interface CustomPlace {
  readonly conclave: 'place'
  readonly [OPEN_PLACE]: (options: PlaceOptions) => OpenedPlace
}

/** @throws `INVALID_OPTION`, `UNSUPPORTED`, `SETUID_REFUSED`, and what opening the workspace throws */
export function openPlace(place: Place, options: PlaceOptions): OpenedPlace {
  if (isCustom(place)) return place[OPEN_PLACE](options)
  const platform = posixPlatform()
  refuseSetuid(process.getuid?.() ?? 0, process.geteuid?.() ?? 0)
  return {
    workspace: openWorkspace(platform, folderOf(place), options),
    transport: unixTransport(platform),
    pid: process.pid,
  }
}

function folderOf(place: unknown): string {
  if (typeof place === 'string' && place !== '') return place
  if (place instanceof URL) {
    if (place.protocol === 'file:') return fileURLToPath(place)
    const text = `${place.protocol} names no folder: join a path or a file: URL.`
    throw new ConclaveError('INVALID_OPTION', text)
  }
  throw new ConclaveError(
    'INVALID_OPTION',
    'join() needs a folder: its path, a file: URL, or a place such as memoryWorkspace().',
  )
}

function isCustom(place: unknown): place is CustomPlace {
  return typeof place === 'object' && place !== null && OPEN_PLACE in place
}
