import { setImmediate as turn } from 'node:timers/promises'
import { ConclaveError } from '../../errors/index.ts'
import type { DeadlineWheel } from '../../rpc/timers.ts'
import type { Codec, MethodTypes } from './codec.ts'
import type { Payload } from './commands.ts'
import type { Counters } from './counters.ts'
import { CALL_TIMEOUT_MS, MAX_ATTEMPTS, MIN_CALL_TIMEOUT_MS } from './limits.ts'
import type { Peer } from './peer.ts'
import { Gather, Single, type Missing, type Pending, type Replies } from './pending.ts'

export interface CallOptions {
  /** Patience, in milliseconds; at least 200. Default 2 s. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** Running it twice does no harm: when nobody has answered in time it is sent again. Default false: never repeated. */
  readonly idempotent?: boolean | undefined
  /** How often an idempotent call is sent at most, each time with the whole patience. Default 3. */
  readonly attempts?: number | undefined
  /** How gob carries arguments and reply; default: those of the node's `types`, or else the value decides. */
  readonly types?: MethodTypes | undefined
}

export interface CallsOptions {
  readonly codec: Codec
  readonly wheel: DeadlineWheel
  readonly counters: Counters
  readonly maxPending: number
  readonly maxPendingBytes: number
  readonly maxMessageBytes: number
  /** Random, so that ids cannot be guessed. */
  readonly firstId: number
  readonly peer: (name: string) => Peer | undefined
}

/** Own calls that wait for answers. Each settles: by answers, by its time, by the loss of who was asked, or at the end. */
export class Calls {
  readonly #options: CallsOptions
  readonly #pending = new Map<number, Pending>()
  #bytes = 0
  #nextId: number

  constructor(options: CallsOptions) {
    this.#options = options
    this.#nextId = options.firstId
  }

  get size(): number {
    return this.#pending.size
  }

  /** @throws `TOO_LARGE`, `INVALID_REQUEST` */
  async cast(
    names: readonly string[],
    method: string,
    args: unknown,
    types: MethodTypes | undefined,
  ): Promise<readonly Missing[]> {
    const data = this.#encode(this.#id(), method, args, types)
    const missing: Missing[] = []
    for (const name of new Set(names)) {
      const peer = this.#options.peer(name)
      if (peer === undefined) missing.push({ name, err: disconnected(name, 'is not connected', 'not-committed') })
      else {
        peer.send('CAST', data, (cause) => {
          this.#options.counters.lost++
          missing.push({ name, err: unsent(name, cause) })
        })
      }
    }
    // Failures are told when what was sent in this turn has gone.
    await turn()
    return missing
  }

  /** @throws `OVERLOADED`, `TOO_LARGE`, `INVALID_REQUEST`, `ABORTED` */
  gather(names: readonly string[], method: string, args: unknown, options: CallOptions): Promise<Replies> {
    return new Promise<Replies>((resolve, reject) => {
      this.#begin(
        method,
        args,
        options,
        reject,
        (data, end) => new Gather({ method, types: options.types, bytes: data.length, resolve, reject, end }, names),
      )
    })
  }

  /** @throws what the peer answered, why it did not, and what `gather` throws */
  one(name: string, method: string, args: unknown, options: CallOptions): Promise<unknown> {
    return new Promise<unknown>((resolve, reject) => {
      this.#begin(
        method,
        args,
        options,
        reject,
        (data, end) => new Single({ method, types: options.types, bytes: data.length, resolve, reject, end }, name),
      )
    })
  }

  answer(peer: Peer, data: Buffer): void {
    const answer = this.#options.codec.decodeBack(data)
    if (answer === undefined) {
      this.#options.counters.malformed++
      return
    }
    const pending = this.#pending.get(Number(answer.id))
    if (pending?.method !== answer.method || !pending.waitsFor(peer.name)) {
      this.#options.counters.unexpectedAnswers++
      return
    }
    let { error } = answer
    let reply: unknown
    try {
      if (error === undefined) reply = answer.reply(pending.types)
    } catch (unreadable) {
      error = unreadable as ConclaveError
    }
    pending.answered(peer.name, error, reply)
  }

  /** The peer is gone, or is another process now: it will not answer what it was asked. */
  lost(name: string): void {
    for (const pending of [...this.#pending.values()]) {
      if (pending.waitsFor(name)) pending.lose(name, disconnected(name, 'went away before it answered', 'unknown'))
    }
  }

  close(): void {
    const error = new ConclaveError('CLOSED', 'The node was closed before the call was answered.', {
      outcome: 'unknown',
    })
    for (const pending of [...this.#pending.values()]) pending.fail(error)
  }

  /** What it throws rejects the promise that is being made. */
  #begin(
    method: string,
    args: unknown,
    options: CallOptions,
    reject: (error: Error) => void,
    make: (data: Payload, end: (pending: Pending) => void) => Pending,
  ): void {
    const { maxPending, maxPendingBytes } = this.#options
    const { signal } = options
    if (signal?.aborted === true) throw aborted(signal)
    const id = this.#id()
    const data = this.#encode(id, method, args, options.types)
    if (this.#pending.size >= maxPending || this.#bytes + data.length > maxPendingBytes) {
      throw new ConclaveError('OVERLOADED', 'Too many calls wait for answers: await some before you call again.')
    }
    let onAbort: (() => void) | undefined
    const pending = make(data, (ended) => {
      this.#pending.delete(id)
      this.#bytes -= ended.bytes
      this.#options.wheel.remove(ended)
      if (onAbort !== undefined) signal?.removeEventListener('abort', onAbort)
    })
    this.#pending.set(id, pending)
    this.#bytes += pending.bytes
    if (signal !== undefined) {
      onAbort = () => pending.fail(aborted(signal))
      signal.addEventListener('abort', onAbort)
    }
    const timeoutMs = Math.max(options.timeoutMs ?? CALL_TIMEOUT_MS, MIN_CALL_TIMEOUT_MS)
    let attempts = options.idempotent === true ? (options.attempts ?? MAX_ATTEMPTS) : 1
    const send = (): boolean => {
      if (attempts-- <= 0) return false
      this.#send(pending, data)
      if (this.#pending.get(id) === pending) this.#options.wheel.add(this.#options.wheel.now() + timeoutMs, pending)
      return true
    }
    pending.again = send
    send()
  }

  #send(pending: Pending, data: Payload): void {
    for (const name of pending.waiting) {
      const peer = this.#options.peer(name)
      if (peer === undefined) pending.lose(name, disconnected(name, 'is not connected', 'not-committed'))
      else peer.send('CALL', data, (cause) => pending.lose(name, unsent(name, cause)))
    }
  }

  #encode(id: number, method: string, args: unknown, types: MethodTypes | undefined): Payload {
    const { codec, maxMessageBytes } = this.#options
    const data = codec.encodeCall(id, method, args, types)
    if (data.length <= maxMessageBytes) return data
    throw new ConclaveError('TOO_LARGE', `The call has ${data.length} bytes; a message has at most ${maxMessageBytes}.`)
  }

  #id(): number {
    const id = this.#nextId
    this.#nextId = id >= Number.MAX_SAFE_INTEGER ? 1 : id + 1
    return id
  }
}

function aborted(signal: AbortSignal): ConclaveError {
  return new ConclaveError('ABORTED', 'The call was aborted by its signal.', {
    cause: signal.reason,
    outcome: 'unknown',
  })
}

function disconnected(name: string, how: string, outcome: 'unknown' | 'not-committed'): ConclaveError {
  return new ConclaveError('DISCONNECTED', `${name} ${how}.`, { outcome })
}

/** Why a socket did not take a message. */
function unsent(name: string, cause: unknown): ConclaveError {
  const { code } = cause as { readonly code?: unknown }
  if (code !== 'EAGAIN') return disconnected(name, 'is not connected any more', 'not-committed')
  return new ConclaveError('OVERLOADED', `${name} does not read what it is sent: wait before you call again.`, {
    outcome: 'not-committed',
  })
}
