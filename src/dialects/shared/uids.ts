import { ConclaveError } from '../../errors/index.ts'
import { posixPlatform, type Platform } from '../../platform/index.ts'
import { unixTransport, type Transport } from '../../transport/index.ts'
import type { Place } from './place.ts'

/** What the kernel shows for a user that our user namespace does not map; being equal to it proves nothing (rule B18). */
const OVERFLOW_UID = 65_534

export interface PlaceOptions {
  /** Users whose processes are accepted, on either side. Default: our own only. */
  readonly uids?: readonly number[] | undefined
}

/** Stand-ins for the system, for tests and `conclave/testing`. */
export interface Internals {
  readonly platform?: Platform | undefined
  readonly transport?: ((platform: Platform) => Transport) | undefined
}

/** The system, with peers checked against the list of users. @throws `INVALID_OPTION` */
export function placeOf({ uids }: PlaceOptions, internals: Internals): Place {
  const platform = internals.platform ?? posixPlatform()
  const make = internals.transport ?? unixTransport
  return { platform, transport: make(uids === undefined ? platform : withUids(platform, uids)) }
}

/** Only what a peer's uid means is changed: who owns files is still asked of the platform itself. */
function withUids(platform: Platform, uids: readonly number[]): Platform {
  for (const uid of uids) {
    if (!Number.isSafeInteger(uid) || uid < 0) {
      throw new ConclaveError('INVALID_OPTION', `uids holds ${String(uid)}: user ids are whole numbers from 0.`)
    }
  }
  const allowed = new Set(uids)
  const isOurUid = (uid: number): boolean =>
    allowed.has(uid) && (uid === platform.uid ? platform.isOurUid(uid) : uid !== OVERFLOW_UID)
  return new Proxy(platform, {
    get: (target, name): unknown => {
      if (name === 'isOurUid') return isOurUid
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}
