import { ConclaveError } from '../errors/index.ts'

/** An interactive transaction that holds the writer (rule B11). */
export class Session {
  readonly writer: string
  readonly number: number
  /** CLOCK_MONOTONIC, milliseconds. */
  readonly until: number

  constructor(writer: string, number: number, until: number) {
    this.writer = writer
    this.number = number
    this.until = until
  }
}

const MAX_ENDINGS = 256

/** The one transaction that is open, and why the last ones ended. */
export class SessionBook {
  readonly #endings = new Map<string, string>()
  #active: Session | undefined
  #timer: NodeJS.Timeout | undefined

  get active(): Session | undefined {
    return this.#active
  }

  /** @param due called when the time has come, once what had arrived by then is handled (rule B1) */
  begin(session: Session, ms: number, due: () => void): void {
    this.#active = session
    this.#timer = setTimeout(() => setImmediate(() => setImmediate(due)), Math.ceil(ms) + 1)
  }

  find(writer: string, number: number): Session | undefined {
    const active = this.#active
    return active?.writer === writer && active.number === number ? active : undefined
  }

  end(session: Session, why: string): void {
    if (this.#active !== session) return
    this.#active = undefined
    clearTimeout(this.#timer)
    this.#endings.set(`${session.writer} ${session.number}`, why)
    if (this.#endings.size <= MAX_ENDINGS) return
    for (const oldest of this.#endings.keys()) {
      this.#endings.delete(oldest)
      break
    }
  }

  why(writer: string, number: number): ConclaveError {
    const why = this.#endings.get(`${writer} ${number}`) ?? 'its link was lost, or another primary serves now'
    const text = `The transaction is over and was rolled back: ${why}. Run it again.`
    return new ConclaveError('TRANSACTION_LOST', text, { outcome: 'not-committed' })
  }

  close(): void {
    this.#active = undefined
    clearTimeout(this.#timer)
  }
}
