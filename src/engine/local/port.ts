import { ConclaveError } from '../../errors/index.ts'
import { Bag } from '../../rpc/bag.ts'
import { ByNumber } from '../../rpc/by-number.ts'
import { Frame, KIND } from '../../wire/frame.ts'
import type { MemberRef } from '../../wire/peers.ts'
import type { OutgoingTransfer } from '../../wire/transfer.ts'
import type { EncodedFrame } from '../../wire/writer.ts'
import type { CallRecord } from './call-router.ts'
import type { HubSubscription } from './event-types.ts'
import type { Session } from './session.ts'

/** What a MEMBER frame says of a slot, in field `c`. `PAST`: it left, and published what comes next. */
export const MEMBER_STATE = { GONE: 0, HERE: 1, PAST: 2 } as const

/** How a member offers a method: what the switchboard routes by. */
export interface Offer {
  readonly method: string
  readonly to: 'primary' | 'any'
  readonly concurrency: number
  /** Calls of it that run at this member now. */
  running: number
}

/** What the switchboard sees of a member or a line peer: something that takes frames. */
export abstract class Port {
  readonly slot: number
  readonly ref: MemberRef
  readonly session: Session
  readonly joined: string = new Date().toISOString()
  /** Calls it made that have not ended, by number. */
  readonly calls: ByNumber<CallRecord> = new ByNumber()
  /** Calls it answers. */
  readonly serving: Bag<CallRecord> = new Bag()
  readonly offers: Map<string, Offer> = new Map()
  readonly subscriptions: Map<number, HubSubscription> = new Map()
  /** Subscriptions with events that wait for room. */
  readonly backlog: Set<HubSubscription> = new Set()
  closed = false
  /** Requests that wait at the switchboard. */
  waitingCalls = 0
  /** Numbers of long requests that are being joined, and whether their caller still wants them. */
  readonly arriving: Map<number, boolean> = new Map()
  /** Bytes of answers that wait behind a long one to it. */
  laterBytes = 0
  /** Slot of the member that left and was named to it last. */
  named = 0

  constructor(slot: number, ref: MemberRef, session: Session) {
    this.slot = slot
    this.ref = ref
    this.session = session
  }

  /** Long bodies are on their way to it. */
  get sending(): boolean {
    return false
  }

  /** A request came whole. @returns whether its caller did not give it up meanwhile */
  arrived(number: number): boolean {
    if (this.arriving.size === 0) return true
    const wanted = this.arriving.get(number) ?? true
    this.arriving.delete(number)
    return wanted
  }

  /** Bytes of long bodies on their way to it. */
  get longBytes(): number {
    return 0
  }

  /** Whether more waits for it than may, and it does not read: answers are not dropped, so its link is (rule B17). */
  isStuck(most: number): boolean {
    return this.queuedBytes + this.laterBytes > most
  }

  cutOff(): void {
    const bytes = this.queuedBytes + this.longBytes + this.laterBytes
    this.close(new ConclaveError('OVERLOADED', `This member let ${bytes} bytes wait unread and was cut off.`))
  }

  /** Whether its connection keeps the process alive. */
  keepAlive(_alive: boolean): void {}

  /** Line peers call and subscribe; they are no members. */
  abstract readonly kind: 'member' | 'lines'
  /** What may wait or be dropped should. */
  abstract readonly congested: boolean
  /** Bytes on their way to it, events in queues not among them. */
  abstract readonly queuedBytes: number
  /** Name and body are taken before it returns. */
  abstract send(frame: Frame): OutgoingTransfer | undefined
  /**
   * A frame that is encoded already, with another `b`.
   * @returns false where frames are wanted that can be read: `send` it
   */
  sendEncoded(_frame: EncodedFrame, _b: number): boolean {
    return false
  }

  /** PUBLISHED, for one publish. */
  acknowledge(publish: number, event: number): void {
    this.send(new Frame().set(KIND.PUBLISHED, 0, 0, 1, event, publish, 0))
  }

  /** False: long bodies must be whole, `open` is not to be called. */
  abstract readonly takesParts: boolean
  /** A long body that comes in parts: they are pushed into the transfer, then `pump`. */
  abstract open(head: Frame): OutgoingTransfer
  abstract pump(): void
  /** What is queued still goes, then the peer sees the end. */
  abstract end(): void
  /** At once. The hub has forgotten it by then. */
  abstract close(reason?: ConclaveError): void
}
