import { ConclaveError } from '../errors/index.ts'

export type Zeromq = typeof import('zeromq')

let loading: Promise<Zeromq> | undefined

/**
 * The package zeromq, loaded at first use: a dialect can be imported without it.
 * @throws `UNSUPPORTED` when it is not installed, or has no binary for this platform
 */
export function loadZeromq(): Promise<Zeromq> {
  return (loading ??= load(() => import('zeromq')))
}

/** @internal */
export async function load(library: () => Promise<Zeromq>): Promise<Zeromq> {
  try {
    return await library()
  } catch (cause) {
    throw new ConclaveError(
      'UNSUPPORTED',
      'conclave/zeromq and conclave/bilateral need the package zeromq, version 6.1 or newer: run `npm install zeromq`.',
      { cause },
    )
  }
}
