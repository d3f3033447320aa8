import type { Answer } from './answer.ts'
import type { WriterIdentity } from './identity.ts'
import { MAX_WRITES_SENT, WRITES_SENT_BYTES } from './limits.ts'
import type { WireRepeat, WireWrite, WireWrites } from './protocol.ts'
import type { Until } from './wait.ts'
import type { WireValue } from './values.ts'

/** Sends numbered writes in one request. @returns an answer for each */
export type SendWrites = (identity: WriterIdentity, writes: WireWrites['s'], over: Until) => Promise<readonly Answer[]>

/** A numbered write on its way. */
export interface Outgoing {
  readonly write: WireWrite
  answered(answer: Answer): void
  /** The request ended without an answer. */
  failed(error: unknown): void
}

/**
 * Writes made in one go leave in one request: most of what a small write costs is its way. Those with a signal of their
 * own, and those of another patience, leave by themselves; the order of the numbers stays.
 */
export class Outbox {
  readonly #send: SendWrites
  #waiting: Outgoing[] = []
  #bytes = 0
  #identity: WriterIdentity | undefined
  #timeoutMs = 0
  #deadline = 0
  #scheduled = false

  constructor(send: SendWrites) {
    this.#send = send
  }

  add(
    identity: WriterIdentity,
    outgoing: Outgoing,
    timeoutMs: number,
    deadline: number,
    signal: AbortSignal | undefined,
  ): void {
    const bytes = bytesOf(outgoing.write)
    const fits = this.#identity === identity && this.#timeoutMs === timeoutMs && signal === undefined
    if (!fits || this.#waiting.length >= MAX_WRITES_SENT || this.#bytes + bytes > WRITES_SENT_BYTES) this.flush()
    this.#waiting.push(outgoing)
    this.#bytes += bytes
    if (this.#waiting.length === 1) {
      this.#identity = identity
      this.#timeoutMs = timeoutMs
      this.#deadline = deadline
    }
    if (signal !== undefined) this.flush(signal)
    else this.#schedule()
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    // After all that runs now: a turn's answers make their writers write again.
    process.nextTick(this.#due)
  }

  readonly #due = (): void => {
    this.#scheduled = false
    this.flush()
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

  async #sendAll(identity: WriterIdentity, waiting: readonly Outgoing[], over: Until): Promise<void> {
    let answers: readonly Answer[]
    try {
      answers = await this.#send(identity, shortened(waiting), over)
    } catch (error) {
      for (const outgoing of waiting) outgoing.failed(error)
      return
    }
    for (let at = 0; at < waiting.length; at++) waiting[at]!.answered(answers[at]!)
  }
}

/** Parameters alone where the statement is that of the write before. */
function shortened(waiting: readonly Outgoing[]): WireWrites['s'] {
  const writes: (WireWrite | WireRepeat)[] = []
  let before: WireWrite | undefined
  for (const { write } of waiting) {
    const repeats =
      write.sql !== undefined && write.key === undefined && write.sql === before?.sql && write.n === before.n + 1
    writes.push(repeats ? (write.params as readonly WireValue[]) : write)
    before = write
  }
  return writes
}

/** About: what travels is JSON. */
function bytesOf({ sql = '', params, batch, call }: WireWrite): number {
  if (batch !== undefined) return batch.reduce((sum, [text, values]) => sum + text.length + sizeOf(values), 0)
  if (call === undefined) return sql.length + sizeOf(params as readonly unknown[])
  return params === undefined ? 0 : JSON.stringify(params).length
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
