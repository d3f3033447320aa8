import type { Answer } from './answer.ts'
import type { WriterIdentity } from './identity.ts'
import { MAX_WRITES_SENT, WRITES_SENT_BYTES } from './limits.ts'
import type { WireWrite } from './protocol.ts'
import { valueOf } from './result.ts'
import type { Until } from './wait.ts'

/** Sends numbered writes in one request. @returns an answer for each */
export type SendWrites = (
  identity: WriterIdentity,
  writes: readonly WireWrite[],
  over: Until,
) => Promise<readonly Answer[]>

interface Waiting {
  readonly write: WireWrite
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/**
 * Writes made in one go leave in one request: most of what a small write costs is its way. Those with a signal of their
 * own, and those of another patience, leave by themselves; the order of the numbers stays.
 */
export class Outbox {
  readonly #send: SendWrites
  #waiting: Waiting[] = []
  #bytes = 0
  #identity: WriterIdentity | undefined
  #timeoutMs = 0
  #deadline = 0
  #scheduled = false

  constructor(send: SendWrites) {
    this.#send = send
  }

  /** @returns the value of the answer. @throws what the primary answered, or what ended the request */
  add(identity: WriterIdentity, write: WireWrite, over: Until & { readonly timeoutMs: number }): Promise<unknown> {
    const bytes = bytesOf(write)
    const fits = this.#identity === identity && this.#timeoutMs === over.timeoutMs && over.signal === undefined
    if (!fits || this.#waiting.length >= MAX_WRITES_SENT || this.#bytes + bytes > WRITES_SENT_BYTES) this.flush()
    return new Promise((resolve, reject) => {
      this.#waiting.push({ write, resolve, reject })
      this.#bytes += bytes
      if (this.#waiting.length === 1) {
        this.#identity = identity
        this.#timeoutMs = over.timeoutMs
        this.#deadline = over.deadline
      }
      if (over.signal !== undefined) this.flush(over.signal)
      else this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    // After all that runs now: a turn's answers make their writers write again.
    process.nextTick(() => {
      this.#scheduled = false
      this.flush()
    })
  }

  /** What waits leaves now. @param signal of the one write that waits */
  flush(signal?: AbortSignal): void {
    const waiting = this.#waiting
    const identity = this.#identity
    if (identity === undefined || waiting.length === 0) return
    this.#waiting = []
    this.#bytes = 0
    this.#identity = undefined
    void this.#sendAll(identity, waiting, { deadline: this.#deadline, signal })
  }

  async #sendAll(identity: WriterIdentity, waiting: readonly Waiting[], over: Until): Promise<void> {
    try {
      const writes = waiting.map(({ write }) => write)
      const answers = await this.#send(identity, writes, over)
      for (const [at, { resolve, reject }] of waiting.entries()) {
        try {
          resolve(valueOf(answers[at]))
        } catch (error) {
          reject(error)
        }
      }
    } catch (error) {
      for (const { reject } of waiting) reject(error)
    }
  }
}

/** About: what travels is JSON. */
function bytesOf({ sql = '', params, batch }: WireWrite): number {
  if (batch !== undefined) return batch.reduce((sum, [text, values]) => sum + text.length + sizeOf(values), 0)
  return (
    sql.length + (Array.isArray(params) ? sizeOf(params) : params === undefined ? 0 : JSON.stringify(params).length)
  )
}

function sizeOf(values: readonly unknown[]): number {
  let bytes = 0
  for (const value of values) {
    if (typeof value === 'string') bytes += value.length
    else if (typeof value === 'object' && value !== null) bytes += ((value as { b?: string }).b ?? '').length
    bytes += 8
  }
  return bytes
}
