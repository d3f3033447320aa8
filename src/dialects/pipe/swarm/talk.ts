import { ConclaveError } from '../../../errors/index.ts'
import type { Connection } from '../../../transport/index.ts'
import { frameOf, tooLarge } from '../frame.ts'
import { LineLink } from '../../shared/link.ts'
import { Mailbox } from '../../shared/mailbox.ts'
import { SYNC_TIMEOUT_MS } from './limits.ts'

export interface SwarmLine {
  readonly type: string
  readonly payload: Readonly<Record<string, unknown>>
}

/** Lines that a peer may send ahead; more is an error. */
const MAX_AHEAD = 1024

/** A conversation: one reader for all its messages, so that nothing sent ahead is lost (weak point 6 of SEEDS 5.3). */
export class Talk {
  readonly peer: { readonly uid: number; readonly pid: number }
  readonly #link: LineLink
  readonly #lines: Mailbox<SwarmLine>
  readonly #maxLineBytes: number
  readonly closed: Promise<void>

  constructor(connection: Connection, maxLineBytes: number) {
    this.#maxLineBytes = maxLineBytes
    this.#lines = new Mailbox()
    let resolve = (): void => {}
    this.closed = new Promise((done) => (resolve = done))
    const fail = (error: ConclaveError): void => {
      this.#lines.end(error)
      this.#link.close()
    }
    this.#link = new LineLink(
      connection,
      { maxLineBytes, fatal: false, lingerMs: SYNC_TIMEOUT_MS },
      {
        onLine: (text) => {
          const line = parse(text)
          if (line === undefined) fail(new ConclaveError('PROTOCOL', 'The peer sent a line that is no message.'))
          else if (this.#lines.size >= MAX_AHEAD) fail(new ConclaveError('OVERLOADED', 'The peer sent too much ahead.'))
          else this.#lines.push(line)
        },
        onTooLong: (bytes) => fail(tooLarge(bytes, maxLineBytes, 'the peer is not heard any more')),
        onInvalid: () => fail(new ConclaveError('PROTOCOL', 'The peer sent a line that is not UTF-8.')),
        onEnd: () => this.#lines.end(),
        onDrain() {},
        onClose: () => {
          this.#lines.end()
          resolve()
        },
      },
    )
    this.peer = this.#link.peer
  }

  /** @throws `FRAME_TOO_LARGE` */
  send(type: string, payload: object): void {
    this.#link.write(frameOf({ type, payload }, this.#maxLineBytes))
  }

  /** The next message; `undefined` at the end. @throws `ABORTED`, `PROTOCOL`, `FRAME_TOO_LARGE` */
  next(signal: AbortSignal): Promise<SwarmLine | undefined> {
    return this.#lines.next(signal)
  }

  end(): void {
    this.#link.end()
  }

  close(): void {
    this.#link.close()
  }
}

function parse(text: string): SwarmLine | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const { type, payload } = (value ?? {}) as { readonly type?: unknown; readonly payload?: unknown }
  if (typeof type !== 'string') return undefined
  const isObject = typeof payload === 'object' && payload !== null && !Array.isArray(payload)
  return { type, payload: (isObject ? payload : {}) as Record<string, unknown> }
}
