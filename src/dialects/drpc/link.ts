import { ConclaveError } from '../../errors/index.ts'
import type { PacketConnection } from '../../transport/index.ts'
import { Assembler, bytesOf } from './chunks.ts'
import { MAX_GIVEN_UP } from './limits.ts'
import { NO_SEQUENCE, type MessageCodec, type Response } from './messages.ts'
import type { PendingCall } from './pending.ts'
import { Status } from './status.ts'
import { MessageWriter } from './writer.ts'

export interface LinkOptions {
  readonly codec: MessageCodec
  readonly packet: Uint8Array
  readonly maxMessageBytes: number
  /** A call has its answer. */
  onAnswered(call: PendingCall, response: Response): void
  /** What was kept is sent. */
  onDrain(): void
  /** The connection is no more; calls under way are in `underWay`. */
  onLost(error: ConclaveError): void
}

/** One connection of a client: its sequences, and who waits for which. */
export class Link {
  readonly #connection: PacketConnection
  readonly #options: LinkOptions
  readonly #assembler: Assembler
  readonly #writer: MessageWriter
  readonly #underWay = new Map<bigint, PendingCall>()
  /** Sequences of calls that nobody waits for any more. */
  readonly #givenUp = new Set<bigint>()
  #sequence = 0n
  #lost = false
  /** The kernel takes no more: the end is on its way to us. */
  #broken = false

  constructor(connection: PacketConnection, options: LinkOptions) {
    this.#connection = connection
    this.#options = options
    this.#assembler = new Assembler(options.maxMessageBytes)
    this.#writer = new MessageWriter(connection, options.packet)
    connection.handlers = {
      onData: (bytes, start, end) => this.#received(bytes, start, end),
      onEnd: () => this.#fail(new ConclaveError('DISCONNECTED', 'The server has closed the connection.')),
      onDrain: () => {
        this.#writer.resume()
        if (this.#writer.idle) options.onDrain()
      },
      onClose: (cause) =>
        this.#fail(new ConclaveError('DISCONNECTED', 'The connection to the server broke.', { cause })),
    }
  }

  /** Asks the kernel: the peer may have left before we heard of it. */
  get isUp(): boolean {
    return !this.#lost && this.#connection.peerState === 'there'
  }

  get underWay(): ReadonlyMap<bigint, PendingCall> {
    return this.#underWay
  }

  /** The kernel has all that was sent, and may take more. */
  get idle(): boolean {
    return !this.#broken && this.#writer.idle
  }

  /**
   * @returns false when the server can't have seen any of it, and never will: the connection is breaking
   * @throws `TOO_LARGE`, `INVALID_OPTION`: nothing was sent
   */
  send(call: PendingCall): boolean {
    const sequence = this.#sequence + 1n
    const { module, method, body } = call.request
    const message = this.#options.codec.encodeCall({ module, method, body, sequence })
    const { maxMessageBytes } = this.#options
    if (bytesOf(message) > maxMessageBytes) {
      const text = `A call of ${bytesOf(message)} bytes is too long: at most ${maxMessageBytes} (maxMessageBytes).`
      throw new ConclaveError('TOO_LARGE', text)
    }
    const taken = this.#connection.takenBytes
    this.#writer.send(message)
    if (this.#connection.takenBytes === taken && this.#writer.idle) {
      this.#broken = true
      return false
    }
    call.sequence = this.#sequence = sequence
    this.#underWay.set(sequence, call)
    return true
  }

  /** Its answer will be thrown away. */
  giveUp(call: PendingCall): void {
    if (!this.#underWay.delete(call.sequence)) return
    this.#givenUp.add(call.sequence)
    if (this.#givenUp.size <= MAX_GIVEN_UP) return
    this.#fail(new ConclaveError('OVERLOADED', `More than ${MAX_GIVEN_UP} calls were given up and never answered.`))
  }

  close(): void {
    this.#lost = true
    this.#writer.clear()
    this.#connection.close()
  }

  #received(bytes: Uint8Array, start: number, end: number): void {
    if (this.#lost) return
    try {
      const message = this.#assembler.push(bytes, start, end)
      if (message !== undefined) this.#answered(this.#options.codec.decodeResponse(message))
    } catch (error) {
      this.#fail(error as ConclaveError)
    }
  }

  #answered(response: Response): void {
    const call = this.#underWay.get(response.sequence) ?? this.#blamed(response)
    if (call !== undefined) {
      this.#underWay.delete(call.sequence)
      this.#options.onAnswered(call, response)
      return
    }
    // Too late for its caller.
    if (this.#givenUp.delete(response.sequence)) return
    throw new ConclaveError('PROTOCOL', `An answer came to sequence ${response.sequence}, which waits for none.`)
  }

  /** What a server can't decode it answers without a sequence: clear only when there is but one it can mean. */
  #blamed({ sequence, status }: Response): PendingCall | undefined {
    if (sequence !== NO_SEQUENCE || status !== Status.FAILED_UNMARSHAL_CALL) return undefined
    if (this.#underWay.size !== 1 || this.#givenUp.size > 0) return undefined
    return this.#underWay.values().next().value
  }

  #fail(error: ConclaveError): void {
    if (this.#lost) return
    this.close()
    this.#options.onLost(error)
  }
}
