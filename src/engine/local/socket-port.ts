import { KIND, Frame } from '../../wire/frame.ts'
import { errorToWire, type ConclaveError } from '../../errors/index.ts'
import type { Channel } from '../../wire/channel.ts'
import type { MemberRef } from '../../wire/peers.ts'
import type { OutgoingTransfer } from '../../wire/transfer.ts'
import type { EncodedFrame } from '../../wire/writer.ts'
import type { Connection } from '../../transport/transport.ts'
import { BURST_FACTOR, LINK_LINGER_MS, LONG_FACTOR } from './limits.ts'
import { Port } from './port.ts'
import type { Session } from './session.ts'
import { StallWatch } from './stall-watch.ts'

/** A member behind a socket. */
export class SocketPort extends Port {
  override readonly kind = 'member'
  override readonly takesParts = true
  readonly #connection: Connection
  readonly #channel: Channel
  /** Long bodies; those that ended are let go when they are counted, or the next one begins. */
  readonly #transfers = new Set<OutgoingTransfer>()
  readonly #stall: StallWatch
  #lingering: NodeJS.Timeout | undefined

  constructor(slot: number, ref: MemberRef, session: Session, connection: Connection, channel: Channel) {
    super(slot, ref, session)
    this.#connection = connection
    this.#channel = channel
    this.#stall = new StallWatch({
      taken: () => connection.takenBytes,
      waiting: () => this.#unread,
      onStalled: () => this.cutOff(),
    })
  }

  /** What waits for its reader. Long bodies may be so many times the bound, by themselves. */
  get #unread(): number {
    return this.queuedBytes + this.laterBytes + this.longBytes / LONG_FACTOR
  }

  override isStuck(most: number): boolean {
    if (this.queuedBytes + this.laterBytes > most * BURST_FACTOR) return true
    if (this.#unread > most) this.#stall.begin(most)
    return false
  }

  override get longBytes(): number {
    let bytes = 0
    for (const transfer of this.#transfers) {
      if (transfer.ended) this.#transfers.delete(transfer)
      else if (transfer.head.kind !== KIND.EVENT) bytes += transfer.waitingBytes
    }
    return bytes
  }

  override get congested(): boolean {
    return this.#channel.congested
  }

  override get queuedBytes(): number {
    return this.#channel.pendingBytes + this.#connection.bufferedBytes
  }

  override get sending(): boolean {
    for (const transfer of this.#transfers) if (!transfer.ended) return true
    return false
  }

  override send(frame: Frame): OutgoingTransfer | undefined {
    const transfer = this.closed ? undefined : this.#channel.send(frame)
    return transfer === undefined ? undefined : this.#began(transfer)
  }

  override sendEncoded(frame: EncodedFrame, b: number): boolean {
    if (!this.closed) this.#channel.sendEncoded(frame, b)
    return true
  }

  override acknowledge(publish: number, event: number): void {
    if (!this.closed) this.#channel.acknowledge(publish, event)
  }

  override open(head: Frame): OutgoingTransfer {
    return this.#began(this.#channel.open(head))
  }

  override pump(): void {
    this.#channel.pump()
  }

  override close(reason?: ConclaveError): void {
    this.#stall.end()
    if (reason !== undefined) refuse(this.#channel, reason)
    this.#channel.flush()
    this.#connection.close()
  }

  /** A member that is stopped sees it when it goes on: what the kernel took waits for it, this process need not. */
  override end(): void {
    this.#stall.end()
    this.#channel.flush()
    this.#connection.end()
    this.#connection.unref()
    // A turn of the loop later: what the kernel takes by now is written before the timer counts (rule B1).
    this.#lingering ??= setTimeout(() => setImmediate(() => this.#connection.close()), LINK_LINGER_MS).unref()
  }

  /** The connection is closed. */
  gone(): void {
    this.#stall.end()
    clearTimeout(this.#lingering)
  }

  override keepAlive(alive: boolean): void {
    if (alive) this.#connection.ref()
    else this.#connection.unref()
  }

  #began(transfer: OutgoingTransfer): OutgoingTransfer {
    for (const earlier of this.#transfers) if (earlier.ended) this.#transfers.delete(earlier)
    this.#transfers.add(transfer)
    return transfer
  }
}

/** Tells the other side why its link ends. */
export function refuse(channel: Channel, error: ConclaveError): void {
  channel.send(new Frame().set(KIND.REFUSE, 0, 0, 0, 0, 0, 0).withBody(JSON.stringify(errorToWire(error))))
}
