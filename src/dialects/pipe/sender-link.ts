import { ConclaveError } from '../../errors/index.ts'
import { errnoOf } from '../../election/files.ts'
import type { Connection } from '../../transport/index.ts'
import { Later, pause, within } from '../shared/abort.ts'
import { LineLink } from '../shared/link.ts'
import type { Place } from '../shared/place.ts'
import { DIAL_POLL_MS, MAX_LINE_BYTES, WRITE_TIMEOUT_MS } from './limits.ts'
import { decodePipeLine, type AckPayload } from './messages.ts'

export interface SenderLinkHandlers {
  /** The receiver acknowledges; so many messages of this connection its application has taken. */
  onAck(count: number): void
  onDrain(): void
  onClose(error: Error | undefined): void
}

/** The writing end of one connection. */
export class SenderLink {
  /** Whether the receiver has ever acknowledged; the existing ones never do. */
  acking = false
  /** Messages that it has taken, as far as it said. */
  acknowledged = 0
  /** Messages written. */
  sent = 0
  readonly #link: LineLink
  readonly #maxLineBytes: number
  readonly #offers: boolean
  readonly #closed = new Later<Error | undefined>()
  #drained = new Later<void>()
  #offered = false
  #open = true

  /** @param offers whether the receiver is told that acknowledgements are read */
  constructor(connection: Connection, offers: boolean, maxLineBytes: number, handlers: SenderLinkHandlers) {
    this.#offers = offers
    this.#maxLineBytes = maxLineBytes
    this.#link = new LineLink(
      connection,
      { maxLineBytes: MAX_LINE_BYTES, fatal: false, lingerMs: WRITE_TIMEOUT_MS },
      {
        onLine: (text) => {
          const count = countOf(text)
          if (count === undefined || count > this.sent) return
          this.acking = true
          this.acknowledged = Math.max(this.acknowledged, count)
          handlers.onAck(count)
        },
        onTooLong: () => {},
        onInvalid: () => {},
        // A receiver that has closed its side reads no more either.
        onEnd: () => (this.#link.ended ? undefined : this.#link.close()),
        onDrain: () => {
          this.#drained.resolve()
          this.#drained = new Later()
          handlers.onDrain()
        },
        onClose: (error) => {
          this.#open = false
          this.#drained.reject(lost(error))
          this.#closed.resolve(error)
          handlers.onClose(error)
        },
      },
    )
  }

  /** Resolves with what broke it. Never rejects. */
  get closed(): Promise<Error | undefined> {
    return this.#closed.promise
  }

  get open(): boolean {
    return this.#open && !this.#link.ended
  }

  get bufferedBytes(): number {
    return this.#link.bufferedBytes
  }

  /** Whether the kernel still takes what is written: a failed write is told by nothing else until the connection closes. */
  get broken(): boolean {
    return !this.#open || (this.#link.bufferedBytes === 0 && this.#link.takenBytes < this.#link.writtenBytes)
  }

  /** @param lines of one message each, with their LFs */
  write(lines: readonly string[]): void {
    let text = ''
    for (const line of lines) text += this.#offers && !this.#offered ? this.#withOffer(line) : line
    this.sent += lines.length
    this.#link.write(text)
  }

  /** Not a message of the application: it is not counted. */
  writeAuto(line: string): void {
    this.#link.write(line)
  }

  /** Resolves when the kernel has everything. @throws `DISCONNECTED`, `TIMEOUT`, `ABORTED`: the connection is closed */
  async taken(timeoutMs: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.broken) throw lost(undefined)
    if (this.#link.bufferedBytes === 0) return
    try {
      await within(this.#drained.promise, { timeoutMs, signal, what: 'Room for a message at the receiver' })
      if (this.broken) throw lost(undefined)
    } catch (error) {
      // A part of a line may be on its way: nothing can follow it.
      this.close()
      throw error
    }
  }

  /** No more messages; the receiver reads what is there, then closes. */
  end(): void {
    this.#link.end()
  }

  close(): void {
    this.#link.close()
  }

  #withOffer(line: string): string {
    if (line.length * 3 > this.#maxLineBytes) return line
    this.#offered = true
    return `${line.slice(0, -2)},"ack":true}\n`
  }
}

export function lost(error: Error | undefined): ConclaveError {
  const text = 'The receiver is gone: it closed the pipe or died. What it had not read is lost with it.'
  return new ConclaveError('DISCONNECTED', text, { cause: error })
}

/** One dial: a listener whose queue of callers is full is waited for. @throws `DISCONNECTED`, `FORBIDDEN`, `TIMEOUT`, `ABORTED` */
export async function connect(
  place: Place,
  path: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<Connection> {
  const endMs = performance.now() + timeoutMs
  for (;;) {
    // Looked at before: a process that stood still tries once more.
    const late = performance.now() >= endMs
    try {
      return place.transport.connect(path)
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN' || late) throw error
    }
    await pause(DIAL_POLL_MS, signal)
  }
}

function countOf(text: string): number | undefined {
  try {
    const { type, payload, auto } = decodePipeLine(text)
    const count = (payload as Partial<AckPayload> | null | undefined)?.count
    return type === 'soc_ack' && auto === true && Number.isSafeInteger(count) ? count : undefined
  } catch {
    return undefined
  }
}
