import type { ConclaveError } from '../errors/index.ts'
import type { Answer } from './answer.ts'
import type { BeginRequest } from './protocol.ts'
import type { Queued } from './queue.ts'
import type { Job } from './writer.ts'

export interface EntryOptions {
  readonly line: string
  readonly bytes: number
  /** CLOCK_MONOTONIC, milliseconds. */
  readonly deadline: number
  /** What a repeat of it is known by. */
  readonly id: string | undefined
  readonly jobs: readonly Job[]
  /** Whether the answer is a list, of one for each job. */
  readonly list: boolean
  readonly begin?: BeginRequest | undefined
}

/** A request that waits for its turn: the writes of one call, which are answered together, or a transaction. */
export class Entry implements Queued {
  readonly line: string
  readonly bytes: number
  readonly deadline: number
  readonly id: string | undefined
  readonly jobs: readonly Job[]
  readonly begin: BeginRequest | undefined
  /** Of its first jobs, as far as they are done. */
  readonly answers: Answer[] = []
  readonly answer: Promise<Answer>
  /** Calls that wait for it: the first one, and repeats. */
  waiters = 0
  readonly #list: boolean
  #resolve!: (answer: Answer) => void
  #reject!: (error: ConclaveError) => void

  constructor({ line, bytes, deadline, id, jobs, list, begin }: EntryOptions) {
    this.line = line
    this.bytes = bytes
    this.deadline = deadline
    this.id = id
    this.jobs = jobs
    this.begin = begin
    this.#list = list
    this.answer = new Promise<Answer>((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.answer.catch(() => {})
  }

  /** What it counts for in the queue. */
  get count(): number {
    return this.begin === undefined ? this.jobs.length - this.answers.length : 1
  }

  get done(): boolean {
    return this.answers.length === this.jobs.length
  }

  /** All jobs have their answers. */
  finish(): void {
    this.#resolve(this.#list ? { ok: this.answers } : this.answers[0]!)
  }

  /** One answer for all of it. */
  end(answer: Answer): void {
    this.#resolve(answer)
  }

  reject(error: ConclaveError): void {
    this.#reject(error)
  }
}
