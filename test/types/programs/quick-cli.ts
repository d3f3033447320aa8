/* oxlint-disable no-console -- written as a user would */
// (3) Under 100 ms: no schema library at run time (zod alone imports in 90 ms), never primary, works alone if nobody is there.
import { ConclaveError, join, type Member } from '../face.ts'
import type { notes } from './notes-contract.ts'
declare function countAlone(): Promise<number>
const open = await join('.', { app: 'notes', primary: 'never' }).catch((e: unknown) => {
  if (ConclaveError.is(e, 'NO_PRIMARY')) return undefined
  throw e
})
const member: Member<typeof notes> | undefined = open?.with<typeof notes>()
console.log(member ? await member.call('note.count') : await countAlone())
await member?.close()
