import type { Dispatcher } from '../../rpc/dispatcher.ts'
import type { Frame } from '../../wire/frame.ts'
import type { MemberRef } from '../../wire/peers.ts'
import { MEMBER_STATE } from './port.ts'

/** Members of this term that left and can still be named. */
const MAX_PAST_MEMBERS = 1024
const UNKNOWN_MEMBER: MemberRef = { id: '', name: 'unknown', pid: 0 }

/** Who is behind the slots of the present term, as a member hears of it. */
export class Roster {
  readonly #dispatcher: Pick<Dispatcher, 'introduce' | 'forget'>
  readonly #members = new Map<number, MemberRef>()
  /** Those that left it, as far as events may still name them: the switchboard repeats the name before older ones. */
  readonly #past = new Map<number, MemberRef>()

  constructor(dispatcher: Pick<Dispatcher, 'introduce' | 'forget'>) {
    this.#dispatcher = dispatcher
  }

  /** Ids of the members beside these two. */
  others(self: MemberRef, primary: MemberRef | undefined): Set<string> {
    const ids = new Set([...this.#members.values()].map(({ id }) => id))
    ids.delete(self.id)
    ids.delete(primary?.id ?? self.id)
    return ids
  }

  nameOf(slot: number): MemberRef {
    return this.#members.get(slot) ?? this.#past.get(slot) ?? UNKNOWN_MEMBER
  }

  /** A new term: slots name others. */
  clear(): void {
    this.#members.clear()
    this.#past.clear()
  }

  /** MEMBER: somebody is here, has left, or left before and is named by what comes next. */
  introduced(frame: Frame): void {
    const { id, name, pid } = JSON.parse(frame.text) as MemberRef
    const ref = { id, name, pid }
    if (frame.c === MEMBER_STATE.HERE) {
      this.#members.set(frame.a, ref)
      this.#dispatcher.introduce(frame.a, ref)
      return
    }
    if (this.#members.delete(frame.a)) this.#dispatcher.forget(frame.a)
    this.#past.delete(frame.a)
    this.#past.set(frame.a, ref)
    if (this.#past.size <= MAX_PAST_MEMBERS) return
    for (const oldest of this.#past.keys()) {
      this.#past.delete(oldest)
      break
    }
  }
}
