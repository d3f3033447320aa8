import type { EngineStream } from '../engine/engine.ts'
import type { Stream } from '../rpc/types.ts'

/** What `stream()` returns. Leaving the loop, `return()` and disposing tell the handler to stop. */
export class MemberStream implements Stream<unknown, unknown> {
  readonly result: Promise<unknown>
  readonly #stream: EngineStream

  constructor(stream: EngineStream) {
    this.#stream = stream
    this.result = stream.result
  }

  next(): Promise<IteratorResult<unknown, unknown>> {
    return this.#stream.next()
  }

  async return(value?: unknown): Promise<IteratorResult<unknown, unknown>> {
    this.#stream.cancel()
    return { done: true, value: await value }
  }

  async throw(error: unknown): Promise<IteratorResult<unknown, unknown>> {
    this.#stream.cancel(error)
    throw error
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
