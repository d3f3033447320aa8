import type { ConclaveError } from '../../errors/index.ts'
import { REQUESTS_A_TURN } from '../../rpc/limits.ts'
import { KIND, type Frame } from '../../wire/frame.ts'
import type { MemberRef } from '../../wire/peers.ts'
import type { OutgoingTransfer } from '../../wire/transfer.ts'
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

  /** @param deliver must not call back into the hub with user code on the stack */
  constructor(slot: number, ref: MemberRef, session: Session, deliver: (frame: Frame) => void) {
    super(slot, ref, session)
    this.#deliver = deliver
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
