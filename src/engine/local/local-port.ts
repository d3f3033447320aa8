import type { ConclaveError } from '../../errors/index.ts'
import { REQUESTS_A_TURN } from '../../rpc/limits.ts'
import { Frame, KIND } from '../../wire/frame.ts'
import type { MemberRef } from '../../wire/peers.ts'
import type { OutgoingTransfer } from '../../wire/transfer.ts'
import type { FlushScheduler } from './flush.ts'
import { EXIT_PATIENCE_MS } from './limits.ts'
import { Port } from './port.ts'
import type { Session } from './session.ts'

interface LocalPortOptions {
  readonly flush: Pick<FlushScheduler, 'afterFlush'>
  /** To the other members. */
  readonly links: () => readonly Port[]
}

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
  readonly #options: LocalPortOptions
  /** Links that kept up when the first of what is not acknowledged was taken, and until when they are waited for. */
  #keptUp: readonly Port[] = []
  #until = 0
  /** Publishes that were taken and are not yet with the kernel, as runs: PUBLISHED has the same form. */
  #taken: { readonly publish: number; readonly event: number; count: number }[] = []

  /** @param deliver must not call back into the hub with user code on the stack */
  constructor(
    slot: number,
    ref: MemberRef,
    session: Session,
    deliver: (frame: Frame) => void,
    options: LocalPortOptions,
  ) {
    super(slot, ref, session)
    this.#deliver = deliver
    this.#options = options
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
    else if (this.#taken.push({ publish, event, count: 1 }) === 1) {
      this.#keptUp = this.#options.links().filter((port) => !port.congested)
      this.#until = performance.now() + EXIT_PATIENCE_MS
      this.#options.flush.afterFlush(this.#published)
    }
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

  /** The term ends in order: what was taken is acknowledged now. */
  acknowledgeNow(): void {
    this.#until = 0
    this.#published()
  }

  readonly #published = (): void => {
    // A link that kept up gets all of it before this process may exit; one that stopped meanwhile holds nobody up for long.
    const waits = this.#keptUp.some((port) => !port.closed && (port.congested || port.backlog.size > 0))
    if (waits && !this.closed && this.#until > 0) {
      if (performance.now() < this.#until) setTimeout(this.#published, 1)
      else {
        // A turn of the loop later: what the kernel takes by now is written before the time counts (rule B1).
        this.#until = 0
        setImmediate(this.#published)
      }
      return
    }
    this.#keptUp = []
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
