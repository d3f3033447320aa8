import { constants } from 'node:os'
import { NATIVE_EVENT, WATCH } from '../platform/native.ts'
import { KeptBytes } from './kept.ts'
import { KERNEL_BUFFER_BYTES } from './limits.ts'
import type { StreamSocket } from './stream.ts'

/** As in native/socket.c. */
const READ_BUFFER_BYTES = 65_536

const { EAGAIN, EBADF, ECONNRESET, EPIPE } = constants.errno

/** Two connected sockets. */
export function memorySocketPair(): [MemorySocket, MemorySocket] {
  const readBuffer = new Uint8Array(READ_BUFFER_BYTES)
  const left = new MemorySocket(readBuffer)
  const right = new MemorySocket(readBuffer)
  left.connect(right)
  right.connect(left)
  return [left, right]
}

/** The kernel's half of a connection: a bounded receive buffer, and events in later turns of the loop. */
export class MemorySocket implements StreamSocket {
  readonly readBuffer: Uint8Array
  onClosed: () => void = () => {}
  readonly #inbox = new KeptBytes()
  #peer: MemorySocket | undefined
  #onEvent: ((event: number, value: number) => void) | undefined
  #watched = 0
  #scheduled = false
  #open = true
  /** We shut our side down; the peer did; the peer closed with bytes of ours unread. */
  #shut = false
  #peerShut = false
  #reset = false

  constructor(readBuffer: Uint8Array) {
    this.readBuffer = readBuffer
  }

  connect(peer: MemorySocket): void {
    this.#peer = peer
  }

  start(onEvent: (event: number, value: number) => void): void {
    this.#onEvent = onEvent
  }

  watch(events: number): void {
    this.#watched = events
    this.#wake()
  }

  send(bytes: Uint8Array, start: number, end: number): number {
    if (!this.#open) return -EBADF
    const peer = this.#peer
    if (peer === undefined || this.#shut) return -EPIPE
    const taken = Math.min(end - start, KERNEL_BUFFER_BYTES - peer.#inbox.size)
    if (taken === 0) return -EAGAIN
    peer.#inbox.add(bytes, start, start + taken)
    peer.#wake()
    return taken
  }

  shutdown(): number {
    if (!this.#open) return -EBADF
    this.#shut = true
    if (this.#peer !== undefined) this.#peer.#ended(false)
    return 0
  }

  close(): void {
    if (!this.#open) return
    this.#open = false
    this.#onEvent = undefined
    const peer = this.#peer
    this.#peer = undefined
    if (peer !== undefined) {
      peer.#peer = undefined
      peer.#ended(this.#inbox.size > 0)
    }
    this.#inbox.clear()
    this.onClosed()
  }

  /** Its process was killed. */
  abandon(): void {
    this.close()
  }

  keepAlive(): void {}

  #ended(reset: boolean): void {
    this.#peerShut = true
    this.#reset ||= reset
    this.#wake()
  }

  #ready(): number {
    const read = this.#inbox.size > 0 || this.#peerShut || this.#reset ? WATCH.read : 0
    const room = this.#peer === undefined || this.#peer.#inbox.size < KERNEL_BUFFER_BYTES
    return this.#watched & (read | (room ? WATCH.write : 0))
  }

  #wake(): void {
    if (this.#scheduled || this.#onEvent === undefined || this.#ready() === 0) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      // Reads first (rule A8). What a handler throws must not end the events.
      try {
        if ((this.#ready() & WATCH.read) !== 0) this.#read()
        if ((this.#ready() & WATCH.write) !== 0) this.#onEvent?.(NATIVE_EVENT.writable, 0)
      } finally {
        this.#wake()
      }
    })
  }

  #read(): void {
    if (this.#inbox.size > 0) {
      const length = this.#take()
      if (this.#peer !== undefined) this.#peer.#wake()
      this.#onEvent?.(NATIVE_EVENT.read, length)
    } else {
      this.#watched &= ~WATCH.read
      this.#onEvent?.(NATIVE_EVENT.read, this.#reset ? -ECONNRESET : 0)
    }
  }

  /** Moves what fits into the read buffer. */
  #take(): number {
    let length = 0
    this.#inbox.drain((bytes, start, end) => {
      const taken = Math.min(end - start, READ_BUFFER_BYTES - length)
      this.readBuffer.set(bytes.subarray(start, start + taken), length)
      length += taken
      return taken
    })
    return length
  }
}
