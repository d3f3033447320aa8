import { MAX_LOST_LINKS, SESSION_MS } from './limits.ts'
import { Session } from './session.ts'

const SWEEP_MS = SESSION_MS / 4

export interface SessionsOptions {
  readonly now: () => number
  /** Whether the member has a link. */
  readonly isHere: (memberId: string) => boolean
  /** Lets go of the subscriptions that wait for their member. */
  readonly expire: (session: Session) => void
}

/** What is known of each member, and for a while of those whose link was lost (rule C2). */
export class Sessions {
  readonly #options: SessionsOptions
  /** Of lost links in the order they were lost. */
  readonly #sessions = new Map<string, Session>()
  readonly #timer: NodeJS.Timeout
  #sweptAt: number

  constructor(options: SessionsOptions) {
    this.#options = options
    this.#sweptAt = options.now()
    this.#timer = setInterval(() => this.#sweep(), SWEEP_MS).unref()
  }

  close(): void {
    clearInterval(this.#timer)
  }

  /** One that comes back has the whole time again to take up what it left. */
  of(memberId: string): Session {
    let session = this.#sessions.get(memberId)
    if (session === undefined) this.#sessions.set(memberId, (session = new Session(memberId)))
    else if (session.expiresAt !== Infinity) session.expiresAt = this.#options.now() + SESSION_MS
    return session
  }

  forget(session: Session): void {
    this.#options.expire(session)
    this.#sessions.delete(session.memberId)
  }

  /** @param links those of members that are here */
  lost(session: Session, links: number): void {
    session.expiresAt = this.#options.now() + SESSION_MS
    this.#sessions.delete(session.memberId)
    this.#sessions.set(session.memberId, session)
    if (this.#sessions.size - links <= MAX_LOST_LINKS) return
    for (const [id, oldest] of this.#sessions) {
      if (this.#options.isHere(id)) continue
      this.forget(oldest)
      return
    }
  }

  #sweep(): void {
    const now = this.#options.now()
    const late = now - this.#sweptAt - SWEEP_MS
    this.#sweptAt = now
    // This process was stopped: those who wait at its door have had no chance to come back (rule B1).
    const missed = late > SWEEP_MS ? late : 0
    for (const [id, session] of this.#sessions) {
      session.expiresAt += missed
      if (session.expiresAt > now) continue
      session.expiresAt = Infinity
      // One that is back loses what it did not take up again.
      if (this.#options.isHere(id)) this.#options.expire(session)
      else this.forget(session)
    }
  }
}
