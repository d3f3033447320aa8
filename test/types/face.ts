/*
 * The public face as the programs of this folder see it, until src/index.ts exports it; declarations only, as nothing
 * here is ever run.
 */
import type { FindWorkspace, Join, Place } from '../../src/member/types.ts'

export { ConclaveError } from '../../src/errors/index.ts'
export { defineContract } from '../../src/rpc/contract.ts'
export type { Member, Place } from '../../src/member/types.ts'

export declare const join: Join
export declare const findWorkspace: FindWorkspace

/** Of conclave/testing. */
export declare function memoryWorkspace(): Exclude<Place, string | URL> &
  AsyncDisposable & { kill(member: { readonly id: string }): void }
