import { ConclaveError } from '../../errors/index.ts'
import type { DeadlineEntry } from '../../rpc/timers.ts'
import type { MethodTypes } from './codec.ts'

/** What one peer answered. */
export interface Reply<R = unknown> {
  readonly from: string
  readonly reply: R | undefined
  /** What went wrong there: `METHOD_NOT_FOUND`, `INVALID_PARAMS`, `OVERLOADED`, `FAILED` for what a handler threw, … */
  readonly err: ConclaveError | undefined
}

/** Somebody who was asked and did not answer. */
export interface Missing {
  readonly name: string
  /** `TIMEOUT`; `DISCONNECTED`: not here, or gone while it was asked; `OVERLOADED`: it does not read. */
  readonly err: ConclaveError
}

/** The answers in the order in which they came, and who owes one. */
export interface Replies<R = unknown> extends ReadonlyArray<Reply<R>> {
  readonly missing: readonly Missing[]
}

/** One call on its way. It settles once; whatever comes later changes nothing. */
export interface Pending extends DeadlineEntry {
  readonly method: string
  readonly types: MethodTypes | undefined
  readonly bytes: number
  /** Who was asked and owes an answer. */
  readonly waiting: Iterable<string>
  /** Sends it again to those; false when it may not be. */
  again: () => boolean
  waitsFor(name: string): boolean
  /** Of one that is waited for. */
  answered(from: string, err: ConclaveError | undefined, reply: unknown): void
  lose(name: string, err: ConclaveError): void
  fail(error: Error): void
}

interface Made<T> {
  readonly method: string
  readonly types: MethodTypes | undefined
  readonly bytes: number
  readonly resolve: (result: T) => void
  readonly reject: (error: Error) => void
  readonly end: (pending: Pending) => void
}

/** A call to one peer: what is said of it is said by the promise. */
export class Single implements Pending {
  readonly method: string
  readonly types: MethodTypes | undefined
  readonly bytes: number
  again: () => boolean = () => false
  readonly #made: Made<unknown>
  readonly #name: string
  #settled = false

  constructor(made: Made<unknown>, name: string) {
    this.method = made.method
    this.types = made.types
    this.bytes = made.bytes
    this.#made = made
    this.#name = name
  }

  get waiting(): readonly string[] {
    return this.#settled ? [] : [this.#name]
  }

  waitsFor(name: string): boolean {
    return !this.#settled && name === this.#name
  }

  answered(from: string, err: ConclaveError | undefined, reply: unknown): void {
    if (!this.waitsFor(from)) return
    if (err !== undefined) this.fail(err)
    else if (this.#settle()) this.#made.resolve(reply)
  }

  lose(name: string, err: ConclaveError): void {
    if (this.waitsFor(name)) this.fail(err)
  }

  expired(): void {
    if (!this.again()) this.fail(late(this.#name))
  }

  fail(error: Error): void {
    if (this.#settle()) this.#made.reject(error)
  }

  #settle(): boolean {
    if (this.#settled) return false
    this.#settled = true
    this.#made.end(this)
    return true
  }
}

/** A call to several: it collects. */
export class Gather implements Pending {
  readonly method: string
  readonly types: MethodTypes | undefined
  readonly bytes: number
  again: () => boolean = () => false
  readonly #made: Made<Replies>
  readonly #waiting: Set<string>
  readonly #replies: Reply[] = []
  readonly #missing: Missing[] = []
  #settled = false

  constructor(made: Made<Replies>, names: readonly string[]) {
    this.method = made.method
    this.types = made.types
    this.bytes = made.bytes
    this.#made = made
    this.#waiting = new Set(names)
  }

  get waiting(): Iterable<string> {
    return this.#waiting
  }

  waitsFor(name: string): boolean {
    return this.#waiting.has(name)
  }

  answered(from: string, err: ConclaveError | undefined, reply: unknown): void {
    if (!this.#waiting.delete(from)) return
    this.#replies.push({ from, reply: err === undefined ? reply : undefined, err })
    this.#perhapsDone()
  }

  lose(name: string, err: ConclaveError): void {
    if (!this.#waiting.delete(name)) return
    this.#missing.push({ name, err })
    this.#perhapsDone()
  }

  expired(): void {
    if (this.#replies.length === 0 && this.again()) return
    for (const name of this.#waiting) this.#missing.push({ name, err: late(name) })
    this.#waiting.clear()
    this.#perhapsDone()
  }

  fail(error: Error): void {
    if (!this.#settle()) return
    this.#waiting.clear()
    this.#made.reject(error)
  }

  #perhapsDone(): void {
    if (this.#waiting.size > 0 || !this.#settle()) return
    this.#made.resolve(Object.assign(this.#replies, { missing: this.#missing }))
  }

  #settle(): boolean {
    if (this.#settled) return false
    this.#settled = true
    this.#made.end(this)
    return true
  }
}

function late(name: string): ConclaveError {
  return new ConclaveError('TIMEOUT', `${name} did not answer in time.`, { outcome: 'unknown' })
}
