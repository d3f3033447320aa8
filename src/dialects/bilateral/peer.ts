import { Buffer } from 'node:buffer'
import { bytesOf, type Command, type Payload } from './commands.ts'
import type { Outbox } from './outbox.ts'

export interface PeerOptions {
  readonly name: string
  /** True: we connected to it. */
  readonly upstream: boolean
  readonly outbox: Outbox
  readonly maxUnheardBytes: number
  /** Monotonic milliseconds. */
  readonly now: number
  /** Asks it for a sign of life: only a connector can. */
  readonly probe?: (() => void) | undefined
}

/** A node that was admitted, or that admitted us. */
export class Peer {
  readonly name: string
  readonly upstream: boolean
  readonly #outbox: Outbox
  readonly #id: Buffer
  readonly #maxUnheardBytes: number
  readonly #probe: (() => void) | undefined
  /** Bytes that went to it since it last said something. */
  #unheard = 0
  /** Bytes that came since we last said something. */
  #unspoken = 0
  #probed = false
  #heardAt: number
  /** Requests of it that run. */
  running = 0

  constructor({ name, upstream, outbox, maxUnheardBytes, now, probe }: PeerOptions) {
    this.name = name
    this.upstream = upstream
    this.#outbox = outbox
    this.#id = Buffer.from(name)
    this.#maxUnheardBytes = maxUnheardBytes
    this.#probe = probe
    this.#heardAt = now
  }

  /** Monotonic milliseconds. */
  get heardAt(): number {
    return this.#heardAt
  }

  heard(now: number, bytes: number): void {
    this.#heardAt = now
    this.#unheard = 0
    this.#probed = false
    this.#unspoken += bytes
    if (this.#unspoken > this.#maxUnheardBytes / 4) this.#ask()
  }

  /**
   * `failed` is told EAGAIN (it does not read) or EHOSTUNREACH (it is gone). Never waits. The socket bounds the messages that
   * lie for a peer; their bytes it does not know, so what was sent since the peer last spoke is bounded here. A side
   * that can ask does so before it comes to that.
   */
  send(command: Command, data: Payload, failed: (error: unknown) => void): void {
    const unheard = this.#unheard + data.length
    if (unheard > this.#maxUnheardBytes && this.#unheard > 0) {
      failed(new Unread())
      return
    }
    this.#unheard = unheard
    this.#unspoken = 0
    this.#outbox.send([this.#id, bytesOf(command), data], failed)
    if (unheard > this.#maxUnheardBytes / 4) this.#ask()
  }

  #ask(): void {
    if (this.#probed || this.#probe === undefined) return
    this.#probed = true
    this.#unspoken = 0
    this.#probe()
  }
}

/** As the socket says it when its own mark is reached. */
class Unread extends Error {
  readonly code = 'EAGAIN'
}
