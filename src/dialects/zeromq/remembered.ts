import { ConclaveError } from '../../errors/index.ts'

export interface RememberLimits {
  readonly maxCount: number
  readonly maxBytes: number
  readonly ttlMs: number
}

interface Memory {
  /** What was asked: a request id that comes with something else is a mistake of its sender. */
  readonly asked: string
  readonly outcome: Promise<unknown>
  /** Undefined while it runs. */
  doneMs: number | undefined
  bytes: number
}

/** Outcomes by request id: who asks again gets what the first run gave, or waits for it. Nothing runs twice. */
export class Remembered {
  readonly #limits: RememberLimits
  readonly #memories = new Map<string, Memory>()
  #bytes = 0

  constructor(limits: RememberLimits) {
    this.#limits = limits
  }

  get size(): number {
    return this.#memories.size
  }

  /** @throws (rejects) what `run` throws, also on being asked again; `INVALID_PARAMS` when the id meant something else */
  once(id: string, asked: string, run: () => Promise<unknown>): Promise<unknown> {
    this.#forget()
    const known = this.#memories.get(id)
    if (known !== undefined) {
      if (known.asked === asked) return known.outcome
      return Promise.reject(
        new ConclaveError('INVALID_PARAMS', `The request id ${id} was used for another write: give each its own.`),
      )
    }
    const outcome = run()
    const memory: Memory = { asked, outcome, doneMs: undefined, bytes: asked.length }
    this.#bytes += memory.bytes
    this.#memories.set(id, memory)
    const settled = (text: string): void => {
      memory.doneMs = performance.now()
      memory.bytes += text.length
      this.#bytes += text.length
      this.#forget()
    }
    outcome.then(
      (result) => settled(JSON.stringify(result) ?? ''),
      (error: unknown) => {
        settled(String(error))
        // It did not happen: asking again may do it.
        if (ConclaveError.is(error) && error.outcome === 'not-committed' && error.retryable) this.#drop(id, memory)
      },
    )
    return outcome
  }

  /** The oldest first; what runs stays. */
  #forget(): void {
    const oldestMs = performance.now() - this.#limits.ttlMs
    for (const [id, memory] of this.#memories) {
      if (memory.doneMs === undefined) continue
      const over = this.#memories.size > this.#limits.maxCount || this.#bytes > this.#limits.maxBytes
      if (!over && memory.doneMs > oldestMs) return
      this.#drop(id, memory)
    }
  }

  #drop(id: string, memory: Memory): void {
    if (this.#memories.get(id) !== memory) return
    this.#memories.delete(id)
    this.#bytes -= memory.bytes
  }
}
