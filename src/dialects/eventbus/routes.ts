import { oneTurn } from '../../election/wait.ts'
import { aborted, throwIfAborted } from '../shared/abort.ts'
import type { EventText } from './event-text.ts'
import type { Peer } from './peer.ts'

/** Which consumers get an event, and when what they were given is written: once a turn. */
export class Routes {
  readonly #stallMs: number
  readonly #byType = new Map<string, Set<Peer>>()
  readonly #all = new Set<Peer>()
  readonly #dirty = new Set<Peer>()
  #waiters = new Set<() => void>()

  constructor(stallMs: number) {
    this.#stallMs = stallMs
  }

  add(peer: Peer): void {
    this.#all.add(peer)
    for (const type of peer.hello?.eventTypes ?? []) {
      let peers = this.#byType.get(type)
      if (peers === undefined) this.#byType.set(type, (peers = new Set()))
      peers.add(peer)
    }
  }

  remove(peer: Peer): void {
    this.#all.delete(peer)
    this.#dirty.delete(peer)
    for (const type of peer.hello?.eventTypes ?? []) {
      const peers = this.#byType.get(type)
      peers?.delete(peer)
      if (peers?.size === 0) this.#byType.delete(type)
    }
    this.drained()
  }

  /** @returns how many it was queued for */
  publish(type: string, text: EventText): number {
    const peers = this.#byType.get(type)
    if (peers === undefined) return 0
    let count = 0
    for (const peer of peers) {
      if (peer.phase !== 'consumer') continue
      peer.event(text)
      count++
    }
    return count
  }

  tellAll(line: string): void {
    for (const peer of this.#all) if (peer.phase === 'consumer') peer.state(line)
  }

  dirty(peer: Peer): void {
    if (this.#dirty.size === 0) queueMicrotask(() => this.#flush())
    this.#dirty.add(peer)
  }

  /** Somebody took what it was sent, or is gone. */
  drained(): void {
    if (this.#waiters.size === 0) return
    for (const wake of [...this.#waiters]) wake()
  }

  hasRoom(queueSize: number): boolean {
    for (const peer of this.#all) {
      if (peer.queue.events <= queueSize / 2) continue
      // Maybe this turn's events have not been written yet.
      peer.flush()
      if (peer.queue.events > queueSize / 2 && !peer.stuck) return false
    }
    return true
  }

  async room(queueSize: number, signal: AbortSignal | undefined): Promise<void> {
    throwIfAborted(signal)
    for (let waited = false; !this.hasRoom(queueSize); waited = true) {
      if (waited) await this.#change(this.#stallMs)
      await oneTurn()
      if (signal?.aborted === true) throw aborted(signal)
      for (const peer of this.#all) peer.look(performance.now(), this.#stallMs)
    }
  }

  /** Writes what is queued, as far as it is taken within the time. */
  async drain(limitMs: number): Promise<void> {
    const endMs = performance.now() + limitMs
    for (;;) {
      for (const peer of this.#all) peer.flush()
      const waits = [...this.#all].some(({ queue, bufferedBytes }) => queue.size > 0 || bufferedBytes > 0)
      const leftMs = endMs - performance.now()
      if (!waits || leftMs <= 0) return
      await this.#change(leftMs)
    }
  }

  #flush(): void {
    const peers = [...this.#dirty]
    this.#dirty.clear()
    for (const peer of peers) peer.flush()
  }

  /** Something drained, or the time is over. */
  #change(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#waiters.delete(done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      this.#waiters.add(done)
    })
  }
}
