import { ConclaveError, type Code } from '../../errors/index.ts'
import { SENDER_FIELD, type Codec, type Failure, type MethodTypes, type Request } from './codec.ts'
import type { Counters } from './counters.ts'
import type { CallContext, Methods } from './methods.ts'
import type { Peer } from './peer.ts'

export interface DispatcherOptions {
  readonly codec: Codec
  readonly methods: Methods
  readonly counters: Counters
  readonly maxRequests: number
  readonly maxRequestsAPeer: number
  readonly maxMessageBytes: number
  readonly typesOf: (method: string) => MethodTypes | undefined
  readonly onError: (error: Error) => void
}

/** Runs what peers ask for, side by side, and answers. Nothing a peer sends or a handler throws gets out of here. */
export class Dispatcher {
  readonly #options: DispatcherOptions
  readonly #lost = (): void => void this.#options.counters.lost++
  readonly #stop = new AbortController()
  #running = 0
  #idle: (() => void) | undefined
  #closing = false

  constructor(options: DispatcherOptions) {
    this.#options = options
  }

  get running(): number {
    return this.#running
  }

  take(peer: Peer, data: Buffer, cast: boolean): void {
    const { codec, counters, maxRequests, maxRequestsAPeer } = this.#options
    const request = codec.decodeCall(data)
    if (request === undefined) {
      // Not answered: with an unreadable id the answer could only be wrong (weak point 12).
      counters.malformed++
      return
    }
    if (this.#closing) {
      this.#refuse(peer, request, cast, 'CLOSED', 'The node is closing.')
      return
    }
    if (this.#running >= maxRequests || peer.running >= maxRequestsAPeer) {
      counters.overloaded++
      this.#refuse(peer, request, cast, 'OVERLOADED', 'Too many requests run here: try again later.')
      return
    }
    counters.requests++
    this.#run(peer, request, cast)
  }

  /** Resolves when nothing runs any more, or after `ms`; then tells the rest to stop. */
  async drain(ms: number): Promise<void> {
    this.#closing = true
    if (this.#running > 0) {
      await new Promise<void>((resolve) => {
        // A turn later: what handlers wait for may have come while this process was held up.
        const timer = setTimeout(() => setImmediate(() => resolve()), ms)
        this.#idle = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#stop.abort(new ConclaveError('CLOSED', 'The node was closed.'))
  }

  #refuse(peer: Peer, request: Request, cast: boolean, code: Code, message: string): void {
    const error = new ConclaveError(code, message, { outcome: 'not-committed' })
    if (!cast) this.#answer(peer, request, { error }, undefined)
  }

  #run(peer: Peer, request: Request, cast: boolean): void {
    let result: unknown
    let later: boolean
    try {
      result = this.#invoke(peer, request, cast)
      later = isThenable(result)
    } catch (error) {
      this.#done(peer, request, cast, { error }, undefined)
      return
    }
    if (!later) {
      this.#done(peer, request, cast, undefined, result)
      return
    }
    this.#running++
    peer.running++
    const end = (failure: Failure | undefined, reply: unknown): void => {
      peer.running--
      if (--this.#running === 0) this.#idle?.()
      this.#done(peer, request, cast, failure, reply)
    }
    Promise.resolve(result).then(
      (reply) => end(undefined, reply),
      (error: unknown) => end({ error }, undefined),
    )
  }

  #invoke(peer: Peer, { method, args: read }: Request, cast: boolean): unknown {
    const found = this.#options.methods.get(method)
    if (found === undefined) {
      throw new ConclaveError('METHOD_NOT_FOUND', `There is no method ${method} here.`)
    }
    const args = read(found.types ?? this.#options.typesOf(method))
    if (typeof args === 'object' && args !== null && Object.hasOwn(args, SENDER_FIELD)) {
      ;(args as Record<string, unknown>)[SENDER_FIELD] = peer.name
    }
    const context: CallContext = { sender: peer.name, method, cast, signal: this.#stop.signal }
    return found.handler(args, context)
  }

  #done(peer: Peer, request: Request, cast: boolean, failure: Failure | undefined, reply: unknown): void {
    if (!cast) this.#answer(peer, request, failure, reply)
    else if (failure !== undefined) this.#options.onError(asCastError(request.method, failure.error))
  }

  #answer(peer: Peer, request: Request, failure: Failure | undefined, reply: unknown): void {
    const { counters, maxMessageBytes } = this.#options
    const types = this.#options.methods.get(request.method)?.types ?? this.#options.typesOf(request.method)
    let data
    try {
      data = this.#options.codec.encodeBack(request, failure, reply, types)
      if (data.length > maxMessageBytes) {
        const error = new ConclaveError('TOO_LARGE', `The reply has more than ${maxMessageBytes} bytes.`)
        data = this.#options.codec.encodeBack(request, { error }, undefined, types)
      }
    } catch (error) {
      if (failure !== undefined) {
        counters.lost++
        return
      }
      this.#answer(peer, request, { error: invalidResult(error) }, undefined)
      return
    }
    peer.send('BACK', data, this.#lost)
  }
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

function invalidResult(cause: unknown): ConclaveError {
  const message = cause instanceof Error ? cause.message : String(cause)
  return new ConclaveError('INVALID_RESULT', `The reply cannot be sent: ${message}`, { cause })
}

function asCastError(method: string, cause: unknown): ConclaveError {
  const message = cause instanceof Error ? cause.message : String(cause)
  return new ConclaveError('FAILED', `The handler of the cast ${method} failed: ${message}`, { cause })
}
