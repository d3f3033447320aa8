import { aborted, throwIfAborted } from './abort.ts'

interface Waiter<T> {
  readonly resolve: (item: T | undefined) => void
  readonly reject: (error: unknown) => void
}

/** Things that arrive over time, in order, for one reader or several. Its owner bounds it: `size` tells. */
export class Mailbox<T> {
  readonly #onTaken: (() => void) | undefined
  #items: T[] = []
  #head = 0
  #waiters: Waiter<T>[] = []
  /** They look, and take nothing. */
  readonly #watchers = new Set<() => void>()
  #ended = false
  #error: Error | undefined

  /** @param onTaken called after each item that a reader took */
  constructor(onTaken?: () => void) {
    this.#onTaken = onTaken
  }

  get size(): number {
    return this.#items.length - this.#head
  }

  get ended(): boolean {
    return this.#ended
  }

  /** After the end nothing is taken any more. */
  push(item: T): void {
    if (this.#ended) return
    const waiter = this.#waiters.shift()
    if (waiter === undefined) {
      this.#items.push(item)
      for (const look of [...this.#watchers]) look()
    } else {
      waiter.resolve(item)
      this.#onTaken?.()
    }
  }

  /** What is there is still handed out; then one reader gets the error, if there is one, and the others `undefined`. */
  end(error?: Error): void {
    if (this.#ended) return
    this.#ended = true
    const [first, ...others] = this.#waiters.splice(0)
    if (first === undefined || error === undefined) this.#error = error
    if (error === undefined) first?.resolve(undefined)
    else first?.reject(error)
    for (const waiter of others) waiter.resolve(undefined)
    for (const look of [...this.#watchers]) look()
  }

  /** Drops what is there. @returns how many */
  clear(): number {
    const { size } = this
    this.#items = []
    this.#head = 0
    return size
  }

  /** The next item; `undefined` at the end. @throws `ABORTED`: nothing is lost by it */
  async next(signal?: AbortSignal): Promise<T | undefined> {
    throwIfAborted(signal)
    if (this.size > 0) return this.#take()
    if (this.#ended) {
      const error = this.#error
      this.#error = undefined
      if (error !== undefined) throw error
      return undefined
    }
    return new Promise<T | undefined>((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter)
        reject(aborted(signal as AbortSignal))
      }
      const waiter: Waiter<T> = {
        resolve: (item) => {
          signal?.removeEventListener('abort', onAbort)
          resolve(item)
        },
        reject: (error) => {
          signal?.removeEventListener('abort', onAbort)
          reject(error as Error)
        },
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiters.push(waiter)
    })
  }

  /** Resolves when there is something to take, or the end. Takes nothing. @throws `ABORTED` */
  async ready(signal: AbortSignal): Promise<void> {
    throwIfAborted(signal)
    if (this.size > 0 || this.#ended) return
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        this.#watchers.delete(look)
        reject(aborted(signal))
      }
      const look = (): void => {
        signal.removeEventListener('abort', onAbort)
        this.#watchers.delete(look)
        resolve()
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.#watchers.add(look)
    })
  }

  #take(): T {
    const item = this.#items[this.#head] as T
    this.#items[this.#head++] = undefined as T
    if (this.#head === this.#items.length) {
      this.#items = []
      this.#head = 0
    }
    this.#onTaken?.()
    return item
  }
}
