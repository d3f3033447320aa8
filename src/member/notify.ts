import type { Engine, EngineCall } from '../engine/engine.ts'
import { ConclaveError } from '../errors/index.ts'
import type { ToMany } from '../rpc/types.ts'
import { TARGET } from '../wire/frame.ts'

/**
 * A notification to each addressed member. Resolves when the switchboard has them all; one that leaves meanwhile needs none.
 * @throws `MEMBER_NOT_FOUND` for ids, and a name, that nobody has, after the others were sent; what sending one throws
 */
export async function notifyMany(engine: Engine, to: ToMany, request: EngineCall): Promise<void> {
  const { method, deadline, signal } = request
  const { peers, absent } = await engine.peers({ method, to }, deadline, signal)
  const sent = peers.map(({ id }) => engine.notify({ ...request, target: { mode: TARGET.ID, text: id } }))
  for (const result of await Promise.allSettled(sent)) {
    if (result.status === 'rejected' && !ConclaveError.is(result.reason, 'MEMBER_NOT_FOUND')) throw result.reason
  }
  const named = typeof to === 'object' && 'name' in to
  if (absent.length === 0 && !(named && peers.length === 0)) return
  const who = named ? `called ${to.name}` : `with id ${absent.join(', ')}`
  throw new ConclaveError('MEMBER_NOT_FOUND', `No member ${who} is here: \`conclave status\` lists who is.`, {
    outcome: 'not-committed',
    data: named ? undefined : { absent },
  })
}
