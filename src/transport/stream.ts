import { constants } from 'node:os'
import type { ConclaveError } from '../errors/index.ts'
import { util } from '../platform/builtins.ts'
import { NATIVE_EVENT, WATCH } from '../platform/native.ts'
import { disconnected } from './errors.ts'
import { flushAtExit, flushed } from './exit.ts'
import { KeptBytes, type Kept } from './kept.ts'
import { LAST_WORDS_MS } from './limits.ts'
import type { Connection, ConnectionHandlers, PeerCredentials } from './transport.ts'

/** A non-blocking stream socket as the kernel gives it; in memory, what stands for one. Errors are -errno. */
export interface StreamSocket {
  readonly readBuffer: Uint8Array
  /** @param onEvent gets a number of `NATIVE_EVENT` and its value */
  start(onEvent: (event: number, value: number) => void): void
  /** @param events of `WATCH`, added. Reading ends by itself at the end or at an error. */
  watch(events: number): void
  send(bytes: Uint8Array, start: number, end: number): number
  shutdown(): number
  /** No event comes after it. */
  close(): void
  keepAlive(alive: boolean): void
}

const NO_HANDLERS: ConnectionHandlers = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} }

/** What makes a Connection of a socket: kept bytes, half close, and the order of the end. */
export class StreamConnection implements Connection {
  readonly peer: PeerCredentials
  handlers: ConnectionHandlers = NO_HANDLERS
  readonly #socket: StreamSocket
  readonly #kept: Kept
  #reading: 'on' | 'paused' | 'ended' = 'on'
  /** `ending`: `end` was called, kept bytes still go. `failed`: bytes are dropped, reading goes on. */
  #writing: 'on' | 'ending' | 'ended' | 'failed' = 'on'
  #taken = 0
  #closed = false
  #error: Error | undefined
  #lastWords: NodeJS.Timeout | undefined
  readonly #flush = (): void => void this.#kept.drain(this.#send)

  /** @param kept what keeps bytes apart, where that matters */
  constructor(socket: StreamSocket, peer: PeerCredentials, kept: Kept = new KeptBytes()) {
    this.#socket = socket
    this.peer = peer
    this.#kept = kept
    socket.start((event, value) => this.#event(event, value))
    this.#watch()
  }

  get bufferedBytes(): number {
    return this.#kept.size
  }

  get takenBytes(): number {
    return this.#taken
  }

  write(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.#closed || this.#writing !== 'on' || start === end) return this.#kept.size === 0
    if (this.#kept.size === 0) {
      const sent = this.#send(bytes, start, end)
      if (sent < 0) {
        this.#failed(sent)
        return true
      }
      start += sent
      if (start === end) return true
      flushAtExit(this.#flush)
      this.#kept.add(bytes, start, end)
      this.#watch()
      return false
    }
    this.#kept.add(bytes, start, end)
    return false
  }

  pause(): void {
    if (this.#reading !== 'on') return
    this.#reading = 'paused'
    this.#watch()
  }

  resume(): void {
    if (this.#reading !== 'paused') return
    this.#reading = 'on'
    this.#watch()
  }

  end(): void {
    if (this.#closed || this.#writing !== 'on') return
    this.#writing = 'ending'
    if (this.#kept.size === 0) this.#shutdown()
  }

  close(): void {
    this.#close(undefined)
  }

  ref(): void {
    if (!this.#closed) this.#socket.keepAlive(true)
  }

  unref(): void {
    if (!this.#closed) this.#socket.keepAlive(false)
  }

  /** How many bytes the kernel took, 0 when it is full, -errno when it takes no more. */
  readonly #send = (bytes: Uint8Array, start: number, end: number): number => {
    const sent = this.#socket.send(bytes, start, end)
    if (sent > 0) this.#taken += sent
    return sent < 0 && FULL.has(sent) ? 0 : sent
  }

  #watch(): void {
    if (this.#closed) return
    const read = this.#reading === 'on' ? WATCH.read : WATCH.nothing
    this.#socket.watch(read | (this.#kept.size > 0 ? WATCH.write : WATCH.nothing))
  }

  #event(event: number, value: number): void {
    if (event === NATIVE_EVENT.writable) this.#writable()
    else if (value > 0) this.handlers.onData(this.#socket.readBuffer, 0, value)
    else this.#readingEnded(value)
  }

  #writable(): void {
    const error = this.#kept.drain(this.#send)
    if (error < 0) {
      this.#failed(error)
    } else if (this.#kept.size === 0) {
      flushed(this.#flush)
      this.#watch()
      if (this.#writing === 'ending') this.#shutdown()
      if (!this.#closed) this.handlers.onDrain()
    }
  }

  /** Everything that was there has been read. */
  #readingEnded(error: number): void {
    this.#reading = 'ended'
    if (error < 0) {
      this.#close(this.#error ?? brokenConnection(error))
      return
    }
    try {
      this.handlers.onEnd()
    } finally {
      if (this.#writing === 'ended' || this.#writing === 'failed') this.#close(this.#error)
    }
  }

  #shutdown(): void {
    this.#writing = 'ended'
    const error = this.#socket.shutdown()
    if (error < 0) this.#failed(error)
    else if (this.#reading === 'ended') this.#close(undefined)
  }

  /** Rule A8: only writing stops. What the peer sent before it left is read first, then the connection closes. */
  #failed(error: number): void {
    this.#writing = 'failed'
    this.#error = brokenConnection(error)
    this.#kept.clear()
    flushed(this.#flush)
    this.#watch()
    if (this.#reading === 'ended') {
      this.#close(this.#error)
      return
    }
    this.#waitForLastWords()
  }

  #waitForLastWords(): void {
    this.#lastWords = setTimeout(() => {
      if (this.#reading === 'paused') this.#waitForLastWords()
      // A turn of the loop later: what came while we were busy is read before the timer counts (rule B1).
      else setImmediate(() => this.#close(this.#error))
    }, LAST_WORDS_MS).unref()
  }

  #close(error: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#kept.clear()
    flushed(this.#flush)
    clearTimeout(this.#lastWords)
    this.#socket.close()
    setImmediate(() => this.handlers.onClose(error))
  }
}

/** errno of a kernel buffer without room. macOS says ENOBUFS where Linux says EAGAIN. */
const FULL: ReadonlySet<number> = new Set([
  -constants.errno.EAGAIN,
  -constants.errno.EWOULDBLOCK,
  -constants.errno.ENOBUFS,
])

function brokenConnection(errno: number): ConclaveError {
  const name = util.getSystemErrorName(errno)
  if (name === 'EMSGSIZE') return disconnected('The connection was closed: a packet was too long (EMSGSIZE).', name)
  return disconnected(`The connection broke (${name}): the peer closed it or died.`, name)
}
