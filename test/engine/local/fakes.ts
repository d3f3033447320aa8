import { Port } from '../../../src/engine/local/port.ts'
import { Session } from '../../../src/engine/local/session.ts'
import { Frame } from '../../../src/wire/frame.ts'
import { OutgoingTransfer } from '../../../src/wire/transfer.ts'

/** A port that keeps what it is sent until it is asked to deliver. */
export class FakePort extends Port {
  override readonly kind = 'member'
  override readonly takesParts: boolean = true
  override congested = false
  override queuedBytes = 0
  readonly frames: Frame[] = []
  readonly transfers: OutgoingTransfer[] = []
  /** Bodies of at least so many bytes are transfers that end when the test says so. */
  longFrom = Infinity
  closedWith: unknown
  long = 0

  constructor(slot: number, name = `m${slot}`, session: Session = new Session(`id${slot}`)) {
    super(slot, { id: session.memberId, name, pid: slot }, session)
  }

  override get longBytes(): number {
    return this.long
  }

  override send(frame: Frame): OutgoingTransfer | undefined {
    if (this.closed) return undefined
    if (frame.bodyBytes() < this.longFrom) {
      this.frames.push(frame.clone())
      return undefined
    }
    const copy = frame.clone()
    const transfer = new OutgoingTransfer(this.transfers.length + 1, copy)
    this.transfers.push(transfer)
    return transfer
  }

  /** The last fragment of the oldest transfer goes out. */
  finish(): void {
    const transfer = this.transfers.shift()!
    this.frames.push(transfer.head)
    transfer.close()
  }

  take(): Frame[] {
    return this.frames.splice(0)
  }

  override open(head: Frame): OutgoingTransfer {
    const transfer = new OutgoingTransfer(this.transfers.length + 1, head.clone())
    this.transfers.push(transfer)
    return transfer
  }

  override pump(): void {}

  override end(): void {
    this.closed = true
  }

  override close(reason?: unknown): void {
    this.closedWith = reason
  }
}
