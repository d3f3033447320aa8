import { ConclaveError } from '../../errors/index.ts'
import type { DeadlineEntry } from '../../rpc/timers.ts'

/** What a call is told by. */
export interface CallFields {
  readonly id: string
  readonly method: string
  /** The whole request, as it is sent. */
  readonly text: string
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

/** One call of a link: `waiting` for its turn, `sent`, or `over`. */
export class PendingCall implements DeadlineEntry {
  readonly fields: CallFields
  readonly #onOver: (call: PendingCall) => void
  readonly #resolve: (value: unknown) => void
  readonly #reject: (error: Error) => void
  #onAbort: (() => void) | undefined
  state: 'waiting' | 'sent' | 'over' = 'waiting'
  /** Which connection it was sent on. */
  epoch = 0

  constructor(
    fields: CallFields,
    resolve: (value: unknown) => void,
    reject: (error: Error) => void,
    onOver: (call: PendingCall) => void,
  ) {
    this.fields = fields
    this.#resolve = resolve
    this.#reject = reject
    this.#onOver = onOver
    if (fields.signal !== undefined) {
      this.#onAbort = () => this.#aborted()
      fields.signal.addEventListener('abort', this.#onAbort)
    }
  }

  succeed(result: unknown): void {
    if (this.#end()) this.#resolve(result)
  }

  fail(error: Error): void {
    if (this.#end()) this.#reject(error)
  }

  expired(): void {
    const { outcome } = this
    const { method, timeoutMs } = this.fields
    const what = outcome === 'unknown' ? 'was not answered' : 'did not get its turn'
    this.fail(new ConclaveError('TIMEOUT', `"${method}" ${what} within ${timeoutMs} ms.`, { outcome }))
  }

  /** What is known when it ends now without an answer. */
  get outcome(): 'unknown' | 'not-committed' {
    return this.state === 'waiting' ? 'not-committed' : 'unknown'
  }

  #aborted(): void {
    const { outcome } = this
    const { method, signal } = this.fields
    this.fail(
      new ConclaveError('ABORTED', `"${method}" was aborted by its signal.`, { cause: signal?.reason, outcome }),
    )
  }

  #end(): boolean {
    if (this.state === 'over') return false
    this.#onOver(this)
    this.state = 'over'
    if (this.#onAbort !== undefined) this.fields.signal?.removeEventListener('abort', this.#onAbort)
    return true
  }
}
