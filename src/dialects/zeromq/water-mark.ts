/**
 * libzmq counts what waits for a subscriber in messages. This bounds it in bytes too: while events are large the mark is
 * lower. The largest of the last `marks` to `2 * marks` events counts, so that what waits is at most twice the bytes.
 */
export class WaterMark {
  readonly #messages: number
  readonly #bytes: number
  #mark: number
  #before = 0
  #largest = 0
  #count = 0

  constructor(messages: number, bytes: number) {
    this.#messages = messages
    this.#bytes = bytes
    this.#mark = messages
  }

  get mark(): number {
    return this.#mark
  }

  /** To be called before an event is sent. @returns whether the mark has changed */
  next(bytes: number): boolean {
    if (++this.#count > this.#messages) {
      this.#count = 0
      this.#before = this.#largest
      this.#largest = 0
    } else if (bytes <= this.#largest) return false
    if (bytes > this.#largest) this.#largest = bytes
    const largest = Math.max(this.#before, this.#largest, 1)
    const mark = Math.max(1, Math.min(this.#messages, Math.floor(this.#bytes / largest)))
    if (mark === this.#mark) return false
    this.#mark = mark
    return true
  }
}
