import type { Router } from 'zeromq'
import { BURST } from './limits.ts'
import type { Payload } from './commands.ts'

type Failed = (error: unknown) => void

/**
 * Sends through one socket. What a send costs is waking the socket's thread, ten times the rest: so the first message of
 * a turn goes at once, and those after it together, when everything that was received has been handled. Order is kept.
 */
export class Outbox {
  readonly #socket: Router
  #parts: Payload[][] = []
  #failed: Failed[] = []
  #begun = false

  constructor(socket: Router) {
    this.#socket = socket
  }

  /** `failed` is told EAGAIN (the peer does not read) or EHOSTUNREACH (it is gone). Never waits. */
  send(parts: Payload[], failed: Failed): void {
    if (!this.#begun) {
      this.#begun = true
      process.nextTick(this.#flush)
      this.#now(parts, failed)
      return
    }
    this.#parts.push(parts)
    this.#failed.push(failed)
    if (this.#parts.length >= BURST) this.#flushAll()
  }

  readonly #flush = (): void => {
    this.#begun = false
    if (this.#parts.length > 0) this.#flushAll()
  }

  /** Before the socket is closed. */
  #flushAll(): void {
    const parts = this.#parts
    const failed = this.#failed
    this.#parts = []
    this.#failed = []
    for (let at = 0; at < parts.length; at++) this.#now(parts[at] as Payload[], failed[at] as Failed)
  }

  #now(parts: Payload[], failed: Failed): void {
    try {
      this.#socket.send(parts).then(undefined, failed)
    } catch (error) {
      failed(error)
    }
  }

  close(): void {
    this.#flushAll()
  }
}
