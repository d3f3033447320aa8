// Compiled beside an installed package, with `skipLibCheck: false`: its declarations must stand alone.
import { ConclaveError, defineContract, join, type Member } from 'conclave'

const contract = defineContract({ methods: { ping: { to: 'any', timeoutMs: 100 } } })
export const member: Member<typeof contract> = await join('.', { contract, name: 'consumer' })
export const refused: boolean = ConclaveError.is(new Error('x'), 'TIMEOUT')
await member.close({ timeoutMs: 1000 })
