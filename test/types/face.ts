/** The public face, under the name that the programs of this folder import it by. */
export { ConclaveError, defineContract, findWorkspace, join } from '../../src/index.ts'
export type { Member, Place } from '../../src/index.ts'
export { memoryWorkspace } from '../../src/testing/index.ts'
