import { ConclaveError } from '../../errors/index.ts'
import { Later, throwIfAborted, within } from '../shared/abort.ts'
import { LineLink } from '../shared/link.ts'
import type { Place } from '../shared/place.ts'
import { placeOf, type Internals, type PlaceOptions } from '../shared/uids.ts'
import { decodeAny, encodeAny } from './codec.ts'
import { MAX_FRAME_BYTES, PROBE_TIMEOUT_MS, WRITE_TIMEOUT_MS } from './limits.ts'
import type { AnyMessage, StatusResponse } from './messages.ts'

export interface AskOptions extends PlaceOptions {
  /** Default 2 s. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface ClientHandlers {
  /** A message of a known type. */
  onMessage(message: AnyMessage): void
  /** A line that is none, or is too long: skipped. */
  onSkipped?(error: ConclaveError): void
  onClose(error: Error | undefined): void
}

/** The other side of a `Peer`: one connection to a bus. */
export class BusClient {
  readonly #link: LineLink

  /** @throws `DISCONNECTED` (`data.errno`), `FORBIDDEN`, `PATH_TOO_LONG` */
  constructor(place: Place, socket: string, handlers: ClientHandlers, maxFrameBytes: number = MAX_FRAME_BYTES) {
    const skipped = (error: ConclaveError): void => handlers.onSkipped?.(error)
    this.#link = new LineLink(
      place.transport.connect(socket),
      { maxLineBytes: maxFrameBytes, fatal: false, lingerMs: WRITE_TIMEOUT_MS },
      {
        onLine: (text) => {
          let message: AnyMessage | undefined
          try {
            message = decodeAny(text)
          } catch (error) {
            skipped(error as ConclaveError)
            return
          }
          if (message !== undefined) handlers.onMessage(message)
        },
        onTooLong: (bytes) => {
          const text = `A frame of at least ${bytes} bytes was skipped; the limit is ${maxFrameBytes}.`
          skipped(new ConclaveError('FRAME_TOO_LARGE', text, { data: { bytes, limit: maxFrameBytes } }))
        },
        onInvalid: () => skipped(new ConclaveError('PROTOCOL', 'A line that is not UTF-8 was skipped.')),
        onEnd: () => this.#link.close(),
        onDrain: () => {},
        onClose: (error) => handlers.onClose(error),
      },
    )
  }

  /** The bus's process, by the kernel. */
  get pid(): number {
    return this.#link.peer.pid
  }

  send(message: AnyMessage): void {
    this.#link.write(encodeAny(message))
  }

  pause(): void {
    this.#link.pause()
  }

  resume(): void {
    this.#link.resume()
  }

  close(): void {
    this.#link.close()
  }

  /** The last message is sent, the bus may still answer; then it closes. */
  end(): void {
    this.#link.end()
  }
}

/**
 * What a running bus says of itself.
 * @throws `DISCONNECTED` (nobody there, or it hung up), `TIMEOUT`, `FORBIDDEN`, `ABORTED`
 */
export async function queryStatus(
  socket: string,
  options: AskOptions = {},
  internals: Internals = {},
): Promise<StatusResponse> {
  return probe(placeOf(options, internals), socket, options)
}

export async function probe(place: Place, socket: string, options: AskOptions): Promise<StatusResponse> {
  throwIfAborted(options.signal)
  const answer = new Later<StatusResponse>()
  const client = new BusClient(place, socket, {
    onMessage: (message) => {
      if (message.type === 'status_response') answer.resolve(message)
    },
    onClose: () => answer.reject(hungUp(socket)),
  })
  try {
    client.send({ type: 'status_query' })
    const { timeoutMs = PROBE_TIMEOUT_MS, signal } = options
    return await within(answer.promise, { timeoutMs, signal, what: `The status of the bus at ${socket}` })
  } finally {
    client.close()
  }
}

/** Asks a bus to end. Resolves when it has hung up. @throws as `queryStatus` */
export async function stopBus(socket: string, options: AskOptions = {}, internals: Internals = {}): Promise<void> {
  throwIfAborted(options.signal)
  const gone = new Later<void>()
  const client = new BusClient(placeOf(options, internals), socket, { onMessage() {}, onClose: () => gone.resolve() })
  try {
    client.send({ type: 'shutdown' })
    client.end()
    const { timeoutMs = PROBE_TIMEOUT_MS, signal } = options
    await within(gone.promise, { timeoutMs, signal, what: `The end of the bus at ${socket}` })
  } finally {
    client.close()
  }
}

export function hungUp(socket: string): ConclaveError {
  return new ConclaveError('DISCONNECTED', `The bus at ${socket} hung up.`, { data: { errno: 'EOF' } })
}
