import type { ErrorOnWire } from '../../errors/index.ts'
import { seqOf } from '../../events/position.ts'
import type { SubscribedBody } from '../../events/subscriber.ts'
import { decodeBody } from '../../rpc/body.ts'
import { FLAG, KIND, type Frame } from '../../wire/frame.ts'
import type { MemberRef } from '../../wire/peers.ts'
import { MEMBER_STATE } from './port.ts'

export interface LineEventsSink<Asked> {
  began(asked: Asked | undefined, result: { readonly subscription: number; readonly seq: number }): void
  refused(asked: Asked, error: ErrorOnWire): void
  /** @param data JSON text that becomes the last of the params */
  notify(method: string, params: object, data?: string): void
}

interface LineSubscription<Asked> {
  /** `undefined` once it is answered. */
  asked: Asked | undefined
  missed: number
  exact: boolean
}

/** The subscriptions of a line peer, and who published what it gets. `Asked`: where the answer to a request goes. */
export class LineEvents<Asked> {
  readonly #term: number
  readonly #sink: LineEventsSink<Asked>
  readonly #subscriptions = new Map<number, LineSubscription<Asked>>()
  readonly #members = new Map<number, MemberRef>()
  /** Left before what comes next was published: the switchboard repeats the name when it changes. */
  #past: { readonly slot: number; readonly ref: MemberRef } | undefined
  #lastId = 0

  constructor(term: number, slot: number, self: MemberRef, sink: LineEventsSink<Asked>) {
    this.#term = term
    this.#sink = sink
    this.#members.set(slot, self)
  }

  get count(): number {
    return this.#subscriptions.size
  }

  /** @returns the id of a new subscription, to be asked for */
  begin(asked: Asked): number {
    const id = ++this.#lastId
    this.#subscriptions.set(id, { asked, missed: 0, exact: true })
    return id
  }

  /** @returns false when there is none of this id */
  end(id: number): boolean {
    return this.#subscriptions.delete(id)
  }

  /** SUBSCRIBED, MISSED, EVENT or MEMBER. */
  receive(frame: Frame): void {
    if (frame.kind === KIND.MEMBER) {
      this.#introduced(frame)
      return
    }
    const subscription = this.#subscriptions.get(frame.b)
    if (subscription === undefined) return
    if (frame.kind === KIND.SUBSCRIBED) this.#subscribed(subscription, frame)
    else if (frame.kind === KIND.EVENT) this.#event(subscription, frame)
    else if (frame.kind === KIND.MISSED) {
      subscription.missed += frame.number
      if ((frame.flags & FLAG.INEXACT) !== 0) subscription.exact = false
    }
  }

  #subscribed(subscription: LineSubscription<Asked>, frame: Frame): void {
    const answer = JSON.parse(frame.text) as SubscribedBody & { readonly error?: ErrorOnWire }
    const { asked } = subscription
    if (answer.error !== undefined) {
      this.#subscriptions.delete(frame.b)
      if (asked !== undefined) this.#sink.refused(asked, answer.error)
      else this.#sink.notify('conclave.ended', { subscription: frame.b, error: answer.error })
      return
    }
    subscription.missed += answer.missed
    subscription.exact &&= answer.exact
    subscription.asked = undefined
    this.#sink.began(asked, { subscription: frame.b, seq: seqOf(this.#term, answer.after) })
  }

  #event(subscription: LineSubscription<Asked>, frame: Frame): void {
    const { missed, exact } = subscription
    let data: string
    try {
      data = jsonOf(frame)
    } catch {
      // Its publisher is at fault, and only what lines carry is JSON: to this subscriber it is one event missed.
      subscription.missed++
      return
    }
    subscription.missed = 0
    subscription.exact = true
    const past = this.#past?.slot === frame.a ? this.#past.ref : undefined
    const { id = '', name = 'unknown', pid = 0 } = this.#members.get(frame.a) ?? past ?? {}
    const params = {
      subscription: frame.b,
      topic: frame.name,
      seq: seqOf(this.#term, frame.c),
      term: this.#term,
      publisher: { id, name, pid },
      time: frame.time,
      missed,
      exact,
      sensitive: (frame.flags & FLAG.SENSITIVE) === 0 ? undefined : true,
    }
    this.#sink.notify('conclave.event', params, data)
  }

  #introduced(frame: Frame): void {
    if (frame.c === MEMBER_STATE.GONE) {
      this.#members.delete(frame.a)
      return
    }
    const ref = JSON.parse(frame.text) as MemberRef
    if (frame.c === MEMBER_STATE.HERE) this.#members.set(frame.a, ref)
    else this.#past = { slot: frame.a, ref }
  }
}

/**
 * A body as JSON text: its own, which is proven to be some and passed on as it is. What can be read may still be nested
 * too deep to be written again, and its numbers may have more digits than ours.
 * @throws `PROTOCOL` when it is none
 */
export function jsonOf(frame: Frame): string {
  if (frame.raw) return JSON.stringify({ base64: Buffer.from(frame.copyBody()).toString('base64') })
  return decodeBody(frame) === undefined ? 'null' : frame.text
}
