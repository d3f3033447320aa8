import { ConclaveError, type Outcome } from '../../errors/index.ts'
import type { DeadlineEntry } from '../../rpc/timers.ts'
import type { Response } from './messages.ts'

/** What a call is before it has a sequence. */
export interface Request {
  readonly module: number
  readonly method: number
  readonly body: Uint8Array
}

/** A call that waits for its turn or for its answer. It settles once. */
export class PendingCall implements DeadlineEntry {
  readonly request: Request
  /** What it answers for: the size it was counted with. */
  readonly bytes: number
  readonly answer: Promise<Response>
  /** 0 until it is sent. */
  sequence = 0n
  readonly #leave: (call: PendingCall) => void
  readonly #signal: AbortSignal | undefined
  #onAbort: (() => void) | undefined
  #resolve!: (response: Response) => void
  #reject!: (error: ConclaveError) => void

  /** @param leave called once, when it ends by itself: out of time, or aborted */
  constructor(request: Request, signal: AbortSignal | undefined, leave: (call: PendingCall) => void) {
    this.request = request
    this.bytes = request.body.length
    this.#leave = leave
    this.#signal = signal
    this.answer = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    if (signal === undefined) return
    this.#onAbort = () => {
      this.#leave(this)
      this.fail(aborted(signal, this.outcome))
    }
    signal.addEventListener('abort', this.#onAbort)
  }

  get sent(): boolean {
    return this.sequence !== 0n
  }

  /** The server may have run it once it was sent. */
  get outcome(): Outcome {
    return this.sent ? 'unknown' : 'not-committed'
  }

  succeed(response: Response): void {
    this.#forget()
    this.#resolve(response)
  }

  fail(error: ConclaveError): void {
    this.#forget()
    this.#reject(error)
  }

  expired(): void {
    this.#leave(this)
    const what = this.sent ? 'No answer came' : 'Its turn did not come'
    this.fail(new ConclaveError('TIMEOUT', `${what} before the deadline of the call.`, { outcome: this.outcome }))
  }

  #forget(): void {
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort)
  }
}

export function aborted(signal: AbortSignal, outcome: Outcome): ConclaveError {
  return new ConclaveError('ABORTED', 'The call was aborted.', { cause: signal.reason, outcome })
}
