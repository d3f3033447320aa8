import type { ConclaveError } from '../../errors/index.ts'
import type { Frame } from '../../wire/frame.ts'
import type { MemberRef } from '../../wire/peers.ts'
import type { OutgoingTransfer } from '../../wire/transfer.ts'
import { Port } from './port.ts'
import type { Session } from './session.ts'

/** The primary's own member: frames cross by a call, bodies stay where they are. */
export class LocalPort extends Port {
  override readonly kind = 'member'
  override readonly takesParts = false
  override readonly congested = false
  override readonly queuedBytes = 0
  readonly #deliver: (frame: Frame) => void

  /** @param deliver must not call back into the hub with user code on the stack */
  constructor(slot: number, ref: MemberRef, session: Session, deliver: (frame: Frame) => void) {
    super(slot, ref, session)
    this.#deliver = deliver
  }

  override send(frame: Frame): OutgoingTransfer | undefined {
    if (!this.closed) this.#deliver(frame)
    return undefined
  }

  override open(): OutgoingTransfer {
    throw new TypeError('a local port takes long bodies whole')
  }

  override pump(): void {}

  override end(): void {}

  override close(_reason?: ConclaveError): void {}
}
