import type { Engine, EngineCall } from '../engine/engine.ts'
import { ConclaveError, asError } from '../errors/index.ts'
import type { Reply, ToMany } from '../rpc/types.ts'
import { TARGET } from '../wire/frame.ts'
import type { MemberRef } from '../wire/peers.ts'

export interface GatherRequest extends Omit<EngineCall, 'target' | 'signal'> {
  readonly to: ToMany | undefined
  readonly want: number
  readonly signal: AbortSignal | undefined
}

/**
 * One reply for each addressed member, as they come; for one that is silent, gone or was never there, an error. It never
 * ends shorter than it began (rule B15), unless `want` replies with a result were enough.
 */
export async function* gather(engine: Engine, request: GatherRequest): AsyncGenerator<Reply<unknown>, void, undefined> {
  const { method, to, want, deadline, signal } = request
  const { peers, absent } = await engine.peers({ method, to }, deadline, signal)
  const stop = new AbortController()
  const every = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
  const replies: Reply<unknown>[] = absent.map((id) => ({ from: { id, name: '', pid: 0 }, ok: false, error: gone(id) }))
  let wake: (() => void) | undefined
  const arrived = (reply: Reply<unknown>): void => {
    replies.push(reply)
    wake?.()
  }
  let due = peers.length + absent.length
  for (const { id, name, pid } of peers) {
    const from: MemberRef = { id, name, pid }
    // By id: slots are of one term, and a call may go out again in the next.
    engine.call({ ...request, target: { mode: TARGET.ID, text: id }, signal: every }).then(
      (result) => arrived({ from, ok: true, result }),
      (error: unknown) => arrived({ from, ok: false, error: typed(error) }),
    )
  }
  let results = 0
  try {
    while (due > 0 && results < want) {
      if (signal?.aborted === true) {
        throw new ConclaveError('ABORTED', `Gathering ${method} was aborted.`, {
          cause: signal.reason,
          outcome: 'unknown',
        })
      }
      const reply = replies.shift()
      if (reply === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        continue
      }
      due--
      if (reply.ok) results++
      yield reply
    }
  } finally {
    stop.abort()
  }
}

function gone(id: string): ConclaveError {
  return new ConclaveError('MEMBER_NOT_FOUND', `No member with id ${id} is here.`, { outcome: 'not-committed' })
}

function typed(error: unknown): ConclaveError {
  return ConclaveError.is(error) ? error : new ConclaveError('INTERNAL', asError(error).message, { cause: error })
}
