import { ConclaveError, asError } from '../../errors/index.ts'
import type { Connection } from '../../transport/transport.ts'
import { Channel } from '../../wire/channel.ts'
import { KIND, type Frame } from '../../wire/frame.ts'
import { parseHello } from '../../wire/handshake.ts'
import type { BatchPool } from '../../wire/writer.ts'
import type { FlushScheduler } from './flush.ts'
import type { Hub } from './hub.ts'
import { HANDSHAKE_TIMEOUT_MS, MAX_STRANGERS } from './limits.ts'
import { acceptLines, isLineByte } from './line-link.ts'
import { refuse, SocketPort } from './socket-port.ts'

export interface DoorOptions {
  readonly hub: Hub
  readonly pool: BatchPool
  readonly flush: FlushScheduler
  readonly maxBodyBytes?: number | undefined
  readonly handshakeTimeoutMs?: number | undefined
}

export interface DoorCounters {
  accepted: number
  /** Said nothing, or not a whole hello, in time. */
  silent: number
  /** Neither frames nor JSON lines. */
  garbage: number
  /** Pushed out by later strangers (rule C5). */
  crowded: number
}

interface Stranger {
  readonly connection: Connection
  timer: NodeJS.Timeout | undefined
}

/** Where connections come in: tells frames from lines by the first byte, and lets nobody linger without a handshake. */
export class Door {
  readonly counters: DoorCounters = { accepted: 0, silent: 0, garbage: 0, crowded: 0 }
  readonly #options: DoorOptions
  readonly #strangers = new Set<Stranger>()
  #alive = true

  constructor(options: DoorOptions) {
    this.#options = options
  }

  get strangers(): number {
    return this.#strangers.size
  }

  /** Whether connections keep the process alive, those that are here and those to come. */
  keepAlive(alive: boolean): void {
    this.#alive = alive
    for (const { connection } of this.#strangers) {
      if (alive) connection.ref()
      else connection.unref()
    }
    for (const port of this.#options.hub.links()) port.keepAlive(alive)
  }

  readonly accept = (connection: Connection): void => {
    this.counters.accepted++
    if (!this.#alive) connection.unref()
    const stranger: Stranger = { connection, timer: undefined }
    stranger.timer = setTimeout(() => {
      // A turn of the loop later: what came while we were busy is read before the timer counts (rule B1).
      setImmediate(() => {
        if (!this.#strangers.has(stranger)) return
        this.counters.silent++
        this.#turnAway(stranger)
      })
    }, this.#options.handshakeTimeoutMs ?? HANDSHAKE_TIMEOUT_MS)
    stranger.timer.unref()
    this.#strangers.add(stranger)
    if (this.#strangers.size > MAX_STRANGERS) {
      for (const oldest of this.#strangers) {
        this.counters.crowded++
        this.#turnAway(oldest)
        break
      }
    }
    connection.handlers = {
      onData: (bytes, start, end) => this.#firstBytes(stranger, bytes, start, end),
      onEnd: () => this.#turnAway(stranger),
      onDrain: () => {},
      onClose: () => this.#known(stranger),
    }
  }

  close(): void {
    for (const stranger of [...this.#strangers]) this.#turnAway(stranger)
  }

  #firstBytes(stranger: Stranger, bytes: Uint8Array, start: number, end: number): void {
    const { connection } = stranger
    const first = bytes[start]!
    if (isLineByte(first)) {
      this.#known(stranger)
      const { hub, pool, flush } = this.#options
      acceptLines(hub, connection, pool, flush)
    } else if (first === KIND.HELLO) this.#framed(stranger)
    else {
      this.counters.garbage++
      this.#turnAway(stranger)
      return
    }
    connection.handlers.onData(bytes, start, end)
  }

  #framed(stranger: Stranger): void {
    const { hub, pool, flush, maxBodyBytes } = this.#options
    const { connection } = stranger
    let port: SocketPort | undefined
    let refused = false
    const channel = new Channel({
      pool,
      write: (bytes, start, end) => connection.write(bytes, start, end),
      schedule: flush.add,
      maxBodyBytes,
      onMessage: (frame) => {
        if (refused) return
        if (port !== undefined) return hub.receive(port, frame)
        port = this.#hello(stranger, channel, frame)
        refused = port === undefined
      },
      onTransfer: (frame, grant) => {
        if (port === undefined) throw new ConclaveError('PROTOCOL', 'A member says HELLO first, in one frame.')
        return hub.receivePart(port, frame, grant)
      },
      onAborted: ({ kind, number }) => {
        if (kind === KIND.REQUEST) port?.arriving.delete(number)
      },
      onWritable: () => {
        if (port !== undefined) hub.writable(port)
      },
    })
    connection.handlers = {
      onData: (bytes, start, end) => {
        try {
          channel.receive(bytes, start, end)
        } catch (error) {
          hub.counters.faults++
          refuse(
            channel,
            ConclaveError.is(error) ? error : new ConclaveError('INTERNAL', asError(error).message, { cause: error }),
          )
          channel.flush()
          connection.close()
        }
      },
      onEnd: () => connection.close(),
      onDrain: () => channel.drained(),
      onClose: () => {
        this.#known(stranger)
        if (port !== undefined) {
          port.gone()
          hub.remove(port, 'died')
        }
        channel.close()
      },
    }
  }

  #hello(stranger: Stranger, channel: Channel, frame: Frame): SocketPort | undefined {
    const { hub } = this.#options
    const { connection } = stranger
    try {
      if (frame.kind !== KIND.HELLO) throw new ConclaveError('PROTOCOL', 'A member says HELLO first.')
      const hello = parseHello(frame.text)
      const protocol = hub.judge(hello)
      this.#known(stranger)
      return hub.admit(
        hello,
        protocol,
        (slot, ref, session) => new SocketPort(slot, ref, session, connection, channel),
      ) as SocketPort
    } catch (error) {
      if (!ConclaveError.is(error)) throw error
      hub.counters.refused++
      refuse(channel, error)
      channel.flush()
      connection.end()
      return undefined
    }
  }

  #known(stranger: Stranger): void {
    clearTimeout(stranger.timer)
    this.#strangers.delete(stranger)
  }

  #turnAway(stranger: Stranger): void {
    this.#known(stranger)
    stranger.connection.close()
  }
}
