import type { ConclaveError } from '../../errors/index.ts'
import { REQUESTS_A_TURN } from '../../rpc/limits.ts'
import { Frame, KIND } from '../../wire/frame.ts'
import type { MemberRef } from '../../wire/peers.ts'
import type { OutgoingTransfer } from '../../wire/transfer.ts'
import type { FlushScheduler } from './flush.ts'
import { Port } from './port.ts'
import type { Session } from './session.ts'

const ANSWERS: ReadonlySet<number> = new Set([KIND.RESPONSE, KIND.FAILURE, KIND.TAKEN, KIND.PUBLISHED])

/**
 * The primary's own member: frames cross by a call, bodies stay where they are. A program that awaits one answer after
 * another would never let the sockets be read: after so many in one turn of the loop, answers wait for the next (rule F3).
 */
export class LocalPort extends Port {
  override readonly kind = 'member'
  override readonly takesParts = false
  override readonly congested = false
  override readonly queuedBytes = 0
  readonly #deliver: (frame: Frame) => void
  #answers = 0
  #later: Frame[] = []
  #turnMarked = false
  readonly #flush: Pick<FlushScheduler, 'afterFlush'>
  /** Publishes that were taken and are not yet with the kernel, as runs: PUBLISHED has the same form. */
  #taken: { readonly publish: number; readonly event: number; count: number }[] = []

  /** @param deliver must not call back into the hub with user code on the stack */
  constructor(
    slot: number,
    ref: MemberRef,
    session: Session,
    deliver: (frame: Frame) => void,
    flush: Pick<FlushScheduler, 'afterFlush'>,
  ) {
    super(slot, ref, session)
    this.#deliver = deliver
    this.#flush = flush
  }

  override send(frame: Frame): OutgoingTransfer | undefined {
    if (this.closed) return undefined
    if (ANSWERS.has(frame.kind)) {
      this.#markTurn()
      if (++this.#answers > REQUESTS_A_TURN) {
        this.#later.push(frame.clone())
        return undefined
      }
    }
    this.#deliver(frame)
    return undefined
  }

  /** In the primary a publish counts as done when the kernel has it, since the process may exit next (rule B12). */
  override acknowledge(publish: number, event: number): void {
    const run = this.#taken.at(-1)
    if (run !== undefined && publish === run.publish + run.count && event === run.event + run.count) run.count++
    else if (this.#taken.push({ publish, event, count: 1 }) === 1) this.#flush.afterFlush(this.#published)
  }

  override open(): OutgoingTransfer {
    throw new TypeError('a local port takes long bodies whole')
  }

  override pump(): void {}

  override end(): void {
    for (const frame of this.#later.splice(0)) this.#deliver(frame)
    this.closed = true
  }

  override close(_reason?: ConclaveError): void {
    this.end()
  }

  readonly #published = (): void => {
    for (const { publish, event, count } of this.#taken.splice(0)) {
      this.send(new Frame().set(KIND.PUBLISHED, 0, 0, count, event, publish, 0))
    }
  }

  #markTurn(): void {
    if (this.#turnMarked) return
    this.#turnMarked = true
    setImmediate(() => {
      this.#turnMarked = false
      this.#answers = 0
      for (const frame of this.#later.splice(0)) this.send(frame)
    })
  }
}
