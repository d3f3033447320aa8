import type { Frame } from '../wire/frame.ts'
import { decodeBody } from './body.ts'
import { ITEM_OVERHEAD_BYTES, STREAM_WINDOW_BYTES } from './limits.ts'
import type { Reply } from './pending.ts'

interface Waiting {
  readonly resolve: (step: IteratorResult<unknown, unknown>) => void
  readonly reject: (error: unknown) => void
}

/**
 * The consuming end of a stream: items wait here until they are read, and what was read gives the producer credit, so
 * that a slow reader slows the producer and nothing else.
 */
export class IncomingStream {
  readonly result: Promise<unknown>
  /** What the caller hands answers to. */
  readonly reply: Reply = {
    result: (frame) => this.#ended(decodeBody(frame)),
    error: (error) => this.#failed(error),
    item: (frame) => this.#item(frame),
    again: () => {
      this.#read = 0
    },
    unread: () => this.#items.length > 0,
  }
  readonly #items: { readonly value: unknown; readonly bytes: number }[] = []
  readonly #waiting: Waiting[] = []
  readonly #credit: (bytes: number) => void
  readonly #waits: () => void
  #resolve!: (value: unknown) => void
  #reject!: (error: unknown) => void
  #read = 0
  #end: { readonly value: unknown } | { readonly error: unknown } | undefined
  #left = false
  /** An item that had waited was read since the reader waited last. */
  #taken = false

  /**
   * @param credit what was read: the producer may send as many bytes more
   * @param waits the reader has read all and waits for more
   */
  constructor(credit: (bytes: number) => void, waits: () => void = () => {}) {
    this.#credit = credit
    this.#waits = waits
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.result.catch(() => {})
  }

  next(): Promise<IteratorResult<unknown, unknown>> {
    const item = this.#items.shift()
    if (item !== undefined) {
      this.#taken = true
      this.#consumed(item.bytes)
      return Promise.resolve({ done: false, value: item.value })
    }
    const end = this.#end
    if (end !== undefined) {
      if ('value' in end) return Promise.resolve({ done: true, value: end.value })
      if (this.#left) return Promise.resolve({ done: true, value: undefined })
      this.#left = true
      // The error is the caller's own, whatever the handler threw.
      return Promise.reject(end.error as Error)
    }
    const had = this.#taken
    this.#taken = false
    const step = new Promise<IteratorResult<unknown, unknown>>((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
    })
    if (had) this.#waits()
    return step
  }

  /** The reader left: what comes is dropped. */
  leave(): void {
    this.#left = true
    this.#items.length = 0
  }

  #ended(value: unknown): void {
    this.#end = { value }
    this.#resolve(value)
    for (const { resolve } of this.#waiting.splice(0)) resolve({ done: true, value })
  }

  #failed(error: Error): void {
    if (this.#end !== undefined) return
    this.#end = { error }
    this.#reject(error)
    const waiting = this.#waiting.splice(0)
    const first = waiting.shift()
    if (first !== undefined) {
      if (this.#left) first.resolve({ done: true, value: undefined })
      else first.reject(error)
      this.#left = true
    }
    for (const { resolve } of waiting) resolve({ done: true, value: undefined })
  }

  #item(frame: Frame): void {
    const bytes = frame.bodyBytes() + ITEM_OVERHEAD_BYTES
    const value = decodeBody(frame)
    if (this.#left) return
    const reader = this.#waiting.shift()
    if (reader === undefined) this.#items.push({ value, bytes })
    else {
      this.#consumed(bytes)
      reader.resolve({ done: false, value })
    }
  }

  #consumed(bytes: number): void {
    this.#read += bytes
    if (this.#read < STREAM_WINDOW_BYTES / 4) return
    this.#credit(this.#read)
    this.#read = 0
  }
}
