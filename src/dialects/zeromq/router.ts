import { Buffer, isUtf8 } from 'node:buffer'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Router } from 'zeromq'
import { asError, ConclaveError } from '../../errors/index.ts'
import { LEAVE_MS } from './limits.ts'
import type { Methods, Request } from './methods.ts'
import { WaterMark } from './water-mark.ts'

const LEAVE_STEPS = 10

export interface RouterLimits {
  readonly maxMessageBytes: number
  readonly maxRequests: number
  readonly maxRequestsAPeer: number
  readonly maxRequestBytes: number
  readonly sendHighWaterMark: number
  readonly answerHighWaterBytes: number
}

export interface RouterHandlers {
  failed(method: string, error: Error, notification: boolean): void
  undeliverable(peer: string, error: Error): void
}

/** The side of a bus that answers calls: reads its ROUTER socket until it is closed. */
export class Answering {
  readonly #socket: Router
  readonly #methods: Methods
  readonly #limits: RouterLimits
  readonly #mark: WaterMark
  /** @internal */
  readonly handlers: RouterHandlers
  readonly #abort = new AbortController()
  readonly #peers = new Map<string, number>()
  #idle: (() => void) | undefined
  #running = 0
  #draining = false
  #runningBytes = 0
  requests = 0
  refused = 0
  undeliverable = 0

  constructor(socket: Router, methods: Methods, limits: RouterLimits, handlers: RouterHandlers) {
    this.#socket = socket
    this.#methods = methods
    this.#limits = limits
    this.#mark = new WaterMark(limits.sendHighWaterMark, limits.answerHighWaterBytes)
    this.handlers = handlers
  }

  /** Aborts when the bus ends before the handlers did. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  get running(): number {
    return this.#running
  }

  async run(): Promise<void> {
    while (!this.#socket.closed) {
      let frames: Buffer[]
      try {
        frames = await this.#socket.receive()
      } catch (error) {
        if (this.#socket.closed) return
        throw asError(error)
      }
      this.#take(frames)
    }
  }

  /** Resolves when nothing runs any more, or after `ms`; then what is left is aborted. */
  async drain(ms: number): Promise<void> {
    this.#draining = true
    if (this.#running > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms)
        this.#idle = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      // The last answers are sent in this turn. A caller's libzmq drops with the connection what it has not handed over.
      // Not in one piece: a process that stands still gives libzmq's threads nothing either.
      for (let step = 0; step < LEAVE_STEPS; step++) await sleep(LEAVE_MS / LEAVE_STEPS)
    }
    this.#abort.abort(new ConclaveError('CLOSED', 'The bus ends.'))
  }

  /** [identity, …, text]: the last frame counts; one that has none is no JSON either. */
  #take(frames: readonly Buffer[]): void {
    this.requests++
    const identity = frames[0] as Buffer
    const body = frames.length > 1 ? (frames.at(-1) as Buffer) : EMPTY
    const text = body.toString('utf8')
    const peer = identity.toString('latin1')
    const request = new RunningRequest(this, peer, body.length)
    // What is not UTF-8 is not JSON.
    const readable = !text.includes('\ufffd') || isUtf8(body)
    const answer = this.#methods.answer(readable ? text : '', request)
    if (answer === undefined) return
    if (typeof answer === 'string') this.#send(identity, peer, answer)
    else {
      void answer.then((later) => {
        if (later !== undefined) this.#send(identity, peer, later)
      })
    }
  }

  /** @internal */
  admit(peer: string, bytes: number): boolean {
    const ofPeer = this.#peers.get(peer) ?? 0
    const { maxRequests, maxRequestsAPeer, maxRequestBytes } = this.#limits
    if (this.#draining || this.#running >= maxRequests || ofPeer >= maxRequestsAPeer) return false
    if (this.#running > 0 && this.#runningBytes + bytes > maxRequestBytes) return false
    this.#running++
    this.#runningBytes += bytes
    this.#peers.set(peer, ofPeer + 1)
    return true
  }

  /** @internal */
  settled(peer: string, bytes: number): void {
    this.#runningBytes -= bytes
    const left = (this.#peers.get(peer) ?? 1) - 1
    if (left === 0) this.#peers.delete(peer)
    else this.#peers.set(peer, left)
    if (--this.#running === 0) this.#idle?.()
  }

  #send(identity: Buffer, peer: string, answer: string): void {
    if (this.#socket.closed) {
      this.#lost(peer, new ConclaveError('CLOSED', 'The bus ended before the answer was there.'))
      return
    }
    let text = answer
    if (text.length * 3 > this.#limits.maxMessageBytes && Buffer.byteLength(text) > this.#limits.maxMessageBytes) {
      text = tooLarge(text, this.#limits.maxMessageBytes)
    }
    if (this.#mark.next(text.length)) this.#socket.sendHighWaterMark = this.#mark.mark
    // With a send timeout of 0 it is taken or refused at once: the peer has left, or its queue is full.
    this.#socket.send([identity, null, text]).then(undefined, (error: unknown) => this.#lost(peer, error as Error))
  }

  #lost(peer: string, error: Error): void {
    this.undeliverable++
    this.handlers.undeliverable(peer, error)
  }
}

/** One message's requests, all of them where it is a batch. */
class RunningRequest implements Request {
  readonly peer: string
  readonly #answering: Answering
  readonly #bytes: number

  constructor(answering: Answering, peer: string, bytes: number) {
    this.#answering = answering
    this.peer = peer
    this.#bytes = bytes
  }

  get signal(): AbortSignal {
    return this.#answering.signal
  }

  admit(): boolean {
    return this.#answering.admit(this.peer, this.#bytes)
  }

  settled(): void {
    this.#answering.settled(this.peer, this.#bytes)
  }

  failed(method: string, error: Error, notification: boolean): void {
    this.#answering.handlers.failed(method, error, notification)
  }

  refused(): void {
    this.#answering.refused++
  }
}

const EMPTY = Buffer.alloc(0)

/** A caller must hear something; of a batch nobody can be told alone. */
function tooLarge(answer: string, maxBytes: number): string {
  const [, id = 'null'] = /^\{"jsonrpc":"2\.0","id":("(?:[^"\\]|\\.)*"|[^",]+),/.exec(answer) ?? []
  return `{"jsonrpc":"2.0","id":${id},"error":{"code":-32020,"message":"the answer is longer than ${maxBytes} bytes","data":{"code":"TOO_LARGE"}}}`
}
