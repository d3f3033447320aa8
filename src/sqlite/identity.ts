import { randomBytes } from 'node:crypto'

/** What a member is known by in the database: 128 random bits, and the numbers of its writes (rule A6). */
export class WriterIdentity {
  readonly id: string = randomBytes(16).toString('base64url')
  readonly #settled = new Set<number>()
  #opening: Promise<void> | undefined
  #opened = false
  #number = 0
  #watermark = 0
  #transactions = 0

  /** The database has a row for it: numbers may be used. */
  get opened(): boolean {
    return this.#opened
  }

  /** It waits for the database to know it. Never rejects. */
  get opening(): Promise<void> | undefined {
    return this.#opened ? undefined : this.#opening?.catch(() => {})
  }

  /** All numbers up to it are settled: their outcomes need not be kept. */
  get watermark(): number {
    return this.#watermark
  }

  nextNumber(): number {
    return ++this.#number
  }

  nextTransaction(): number {
    return ++this.#transactions
  }

  get unsettled(): boolean {
    return this.#watermark < this.#number
  }

  /** Nobody will ask for the outcome of this write any more. */
  settle(number: number): void {
    if (number === this.#watermark + 1 && this.#settled.size === 0) {
      this.#watermark = number
      return
    }
    this.#settled.add(number)
    while (this.#settled.delete(this.#watermark + 1)) this.#watermark++
  }

  /** Once for all who wait; after a failure the next one tries again. */
  open(send: (id: string) => Promise<void>): Promise<void> {
    this.#opening ??= send(this.id).then(
      () => {
        this.#opened = true
      },
      (error: unknown) => {
        this.#opening = undefined
        throw error
      },
    )
    return this.#opening
  }
}
