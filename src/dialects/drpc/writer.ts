import type { PacketConnection } from '../../transport/index.ts'
import { bytesOf, packetCount, writePacket, type MessageParts } from './chunks.ts'

/** Messages on their way out of one connection: whole ones, one after the other, packet by packet as the peer reads. */
export class MessageWriter {
  readonly #connection: PacketConnection
  /** Shared with other writers: used within one call only. */
  readonly #packet: Uint8Array
  readonly #queue: MessageParts[] = []
  /** Of the first message: its next packet. */
  #next = 0
  #queuedBytes = 0

  /** @param packet at least PACKET_BYTES, for use while a packet is made */
  constructor(connection: PacketConnection, packet: Uint8Array) {
    this.#connection = connection
    this.#packet = packet
  }

  /** Everything is with the kernel. */
  get idle(): boolean {
    return this.#queue.length === 0 && this.#connection.bufferedBytes === 0
  }

  /** Of messages that are not wholly handed on. */
  get queuedBytes(): number {
    return this.#queuedBytes
  }

  /** The message must not be changed until it is sent. */
  send(message: MessageParts): void {
    this.#queue.push(message)
    this.#queuedBytes += bytesOf(message)
    if (this.#queue.length === 1 && this.#connection.bufferedBytes === 0) this.resume()
  }

  /** Goes on where it stopped; for `onDrain`. */
  resume(): void {
    for (let message = this.#queue[0]; message !== undefined; message = this.#queue[0]) {
      const length = writePacket(message, this.#next, this.#packet)
      const more = this.#connection.write(this.#packet, 0, length)
      // What the kernel did not take is kept by the connection: at most one packet.
      if (++this.#next === packetCount(bytesOf(message))) {
        this.#queue.shift()
        this.#queuedBytes -= bytesOf(message)
        this.#next = 0
      }
      if (!more) return
    }
  }

  clear(): void {
    this.#queue.length = 0
    this.#next = this.#queuedBytes = 0
  }
}
