import { ConclaveError, asError, errorFromWire } from '../../errors/index.ts'
import type { Connection, Transport } from '../../transport/transport.ts'
import { Channel } from '../../wire/channel.ts'
import { Frame, KIND } from '../../wire/frame.ts'
import { parseWelcome, type Hello, type Welcome } from '../../wire/handshake.ts'
import type { OutgoingTransfer } from '../../wire/transfer.ts'
import type { BatchPool } from '../../wire/writer.ts'
import type { FlushScheduler } from './flush.ts'

export interface LinkOptions {
  readonly transport: Transport
  readonly pool: BatchPool
  readonly flush: FlushScheduler
  readonly maxBodyBytes: number | undefined
  /** The handshake is over. What it throws ends the link, and is what dialling fails with. */
  readonly onWelcome: (link: Link, welcome: Welcome) => void
  readonly onFrame: (frame: Frame) => void
  /** After the welcome: everything readable was handed to `onFrame` before. */
  readonly onClose: (link: Link, error: Error | undefined) => void
}

/** The secondary's side of a link to the primary. */
export class Link {
  readonly #connection: Connection
  readonly #channel: Channel
  /** Called before each frame that goes out. */
  onSend: () => void = () => {}
  #bytesSeen = 0

  constructor(connection: Connection, channel: Channel) {
    this.#connection = connection
    this.#channel = channel
  }

  /** Changes with every byte that arrives. */
  get activity(): number {
    return this.#bytesSeen
  }

  /** Where in the stream the last frame sent ends, and how far the kernel took it. */
  get position(): number {
    return this.#channel.position
  }

  get takenBytes(): number {
    return this.#connection.takenBytes
  }

  get bufferedBytes(): number {
    return this.#connection.bufferedBytes
  }

  received(bytes: number): void {
    this.#bytesSeen += bytes
  }

  send(frame: Frame): OutgoingTransfer | undefined {
    this.onSend()
    return this.#channel.send(frame)
  }

  /** What is queued still goes; the primary sees the end. */
  end(): void {
    this.#channel.flush()
    this.#connection.end()
  }

  close(): void {
    this.#connection.close()
  }

  ref(): void {
    this.#connection.ref()
  }

  unref(): void {
    this.#connection.unref()
  }
}

/**
 * Connects and shakes hands.
 * @throws what the primary refuses with; `DISCONNECTED` when it went away; `ABORTED`'s cause is the signal's reason
 */
export function dial(path: string, hello: Hello, options: LinkOptions, signal: AbortSignal): Promise<Link> {
  const { transport, pool, flush, maxBodyBytes } = options
  return new Promise<Link>((resolve, reject) => {
    const connection = transport.connect(path)
    let welcomed = false
    let fault: Error | undefined
    const channel = new Channel({
      pool,
      write: (bytes, start, end) => connection.write(bytes, start, end),
      schedule: flush.add,
      maxBodyBytes,
      onMessage: (frame) => {
        if (welcomed) options.onFrame(frame)
        else {
          greeted(frame)
          welcomed = true
        }
      },
    })
    const link = new Link(connection, channel)
    const fail = (error: Error): void => {
      fault = error
      reject(error)
      connection.close()
    }
    const greeted = (frame: Frame): void => {
      if (frame.kind === KIND.REFUSE) throw errorFromWire(JSON.parse(frame.text))
      if (frame.kind !== KIND.WELCOME) throw new ConclaveError('PROTOCOL', 'The primary did not answer with WELCOME.')
      const welcome = parseWelcome(frame.text)
      signal.removeEventListener('abort', onAbort)
      if (welcome.limits.maxBodyBytes > 0) channel.agree(welcome.limits.maxBodyBytes)
      options.onWelcome(link, welcome)
      resolve(link)
    }
    const onAbort = (): void => fail(new ConclaveError('ABORTED', 'Joining was aborted.', { cause: signal.reason }))
    signal.addEventListener('abort', onAbort, { once: true })
    connection.handlers = {
      onData: (bytes, start, end) => {
        link.received(end - start)
        try {
          channel.receive(bytes, start, end)
        } catch (error) {
          fail(asError(error))
        }
      },
      onEnd: () => connection.close(),
      onDrain: () => channel.drained(),
      onClose: (error) => {
        signal.removeEventListener('abort', onAbort)
        // Before the channel ends its transfers: whose body has not gone out whole was not executed.
        if (welcomed) options.onClose(link, fault ?? error)
        else
          fail(
            new ConclaveError('DISCONNECTED', 'The primary closed the link before the handshake was over.', {
              cause: error,
            }),
          )
        channel.close()
      },
    }
    channel.send(new Frame().set(KIND.HELLO, 0, 0, 0, 0, 0, 0).withBody(JSON.stringify(hello)))
    channel.flush()
  })
}
