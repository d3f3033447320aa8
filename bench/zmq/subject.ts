/** One way to do it: plain zeromq.js, or the dialect. Both send the same frames over the same kind of socket. */
export interface Subject {
  serve(folder: string): Promise<Server>
  connect(folder: string): Promise<Client>
}

export interface Server {
  /** As fast as it goes. */
  publish(count: number): Promise<void>
  /** One at a time, with pauses, each with the time it was published at. */
  publishSlowly(count: number): Promise<void>
}

export interface Client {
  /** Begins to count; `counted` resolves when so many have come. */
  expect(count: number): Promise<void>
  counted(): Promise<void>
  /** Median of the microseconds each event took. */
  delays(): Promise<number>
  /** Calls a second with so many in flight. */
  calls(count: number, inFlight: number): Promise<number>
  /** Median of the microseconds of one call at a time. */
  latency(count: number): Promise<number>
}

export const TOPIC = 'session.update'
export const PAYLOAD = { n: 1, text: 'an event of the bus, such as a line of text' }
export const PARAMS = { id: 7, text: 'what a method is asked' }
/** Higher than what is published at once: nothing is lost, on either side. */
export const MARK = 1_000_000

/** The same clock in both processes, in microseconds. */
export function nowUs(): number {
  return Number(process.hrtime.bigint() % 1_000_000_000_000n) / 1000
}

export function median(values: Float64Array): number {
  return values.toSorted()[values.length >> 1] ?? Number.NaN
}

/** Counts events as a subscriber gets them. */
export class Count {
  #left = 0
  #count = 0
  #delays = new Float64Array(0)
  #done: (() => void) | undefined
  #counted: Promise<void> = Promise.resolve()

  expect(count: number): void {
    this.#left = this.#count = count
    this.#delays = new Float64Array(count)
    this.#counted = new Promise((resolve) => (this.#done = resolve))
  }

  take(payload: unknown): void {
    if (this.#left === 0) return
    const { at } = payload as { readonly at?: number }
    if (at !== undefined) this.#delays[this.#count - this.#left] = nowUs() - at
    if (--this.#left === 0) this.#done?.()
  }

  get counted(): Promise<void> {
    return this.#counted
  }

  get delay(): number {
    return median(this.#delays)
  }
}

/** `calls` and `latency` of any function that calls. */
export function measured(call: () => Promise<unknown>): Pick<Client, 'calls' | 'latency'> {
  return {
    async calls(count, inFlight) {
      let left = count
      const begin = performance.now()
      const one = async (): Promise<void> => {
        while (left-- > 0) await call()
      }
      await Promise.all(Array.from({ length: inFlight }, one))
      return count / ((performance.now() - begin) / 1000)
    },
    async latency(count) {
      const times = new Float64Array(count)
      for (let n = 0; n < count; n++) {
        const begin = performance.now()
        await call()
        times[n] = (performance.now() - begin) * 1000
      }
      return median(times)
    },
  }
}
