import { ConclaveError } from '../../errors/index.ts'
import type { DeadlineEntry, DeadlineWheel } from '../../rpc/timers.ts'
import type { PacketConnection, PeerCredentials } from '../../transport/index.ts'
import { Assembler, bytesOf, ChunkFault, type MessageParts } from './chunks.ts'
import type { Ending } from './dispatcher.ts'
import { LINGER_MS, PEER_CHECK_MS } from './limits.ts'
import { NO_SEQUENCE, type Call, type MessageCodec } from './messages.ts'
import { RunningCall } from './running-call.ts'
import { Status } from './status.ts'
import type { CallContext, Session } from './types.ts'
import { MessageWriter } from './writer.ts'

/** What a session needs of its server. */
export interface SessionHost {
  readonly codec: MessageCodec
  readonly wheel: DeadlineWheel
  /** For making packets; shared by all sessions. */
  readonly packet: Uint8Array
  readonly limits: SessionLimits
  dispatch(call: Call, context: CallContext): Ending | Promise<Ending>
  /** Bytes that a session holds more, or fewer. @returns false when all sessions together hold too many */
  hold(bytes: number): boolean
  faulted(session: ServerSession, error: Error): void
  ended(session: ServerSession): void
}

export interface SessionLimits {
  readonly maxMessageBytes: number
  readonly maxQueuedCalls: number
  readonly maxQueuedBytes: number
  /** 1: answers in the order of the calls. */
  readonly maxCallsInFlight: number
  readonly messageTimeoutMs: number
  readonly writeTimeoutMs: number
}

/**
 * `open`: reads and runs. `draining`: reads no more, what was received runs and is answered. `ending`: all is answered, the
 * peer has been told so and is waited for a moment. `closed`.
 */
type State = 'open' | 'draining' | 'ending' | 'closed'

/** One connection at the server. Whatever its peer does, it costs the others nothing but its own bounded queue. */
export class ServerSession implements Session {
  readonly id: number
  readonly #connection: PacketConnection
  readonly #host: SessionHost
  readonly #assembler: Assembler
  readonly #writer: MessageWriter
  readonly #running = new Set<RunningCall>()
  #queue: Call[] = []
  #queuedBytes = 0
  /** What the host knows that we hold. */
  #held = 0
  #state: State = 'open'
  #paused = false
  /** Sent when all else is answered. */
  #lastAnswer: MessageParts | undefined
  readonly #messageLate: DeadlineEntry = {
    expired: () => this.#fault(late('A message was begun and not finished in time (messageTimeoutMs).')),
  }
  readonly #writeLate: DeadlineEntry = {
    expired: () => this.#giveUp(late('The peer does not read its answers (writeTimeoutMs).')),
  }
  readonly #lingered: DeadlineEntry = { expired: () => this.close() }
  /** Only those who read are told that the peer has left: the others must ask. */
  readonly #unread: DeadlineEntry = { expired: () => this.#askForPeer() }

  constructor(id: number, connection: PacketConnection, host: SessionHost) {
    this.id = id
    this.#connection = connection
    this.#host = host
    this.#assembler = new Assembler(host.limits.maxMessageBytes)
    this.#writer = new MessageWriter(connection, host.packet)
    connection.handlers = {
      onData: (bytes, start, end) => this.#received(bytes, start, end),
      onEnd: () => this.#peerEnded(),
      onDrain: () => this.#drained(),
      onClose: (error) => this.#closed(error),
    }
  }

  get peer(): PeerCredentials {
    return this.#connection.peer
  }

  get closed(): boolean {
    return this.#state === 'closed'
  }

  close(): void {
    this.#connection.close()
    this.#closed(undefined)
  }

  /** Answers what was received, then ends. */
  drain(): void {
    if (this.#state !== 'open') return
    this.#state = 'draining'
    this.#host.wheel.remove(this.#messageLate)
    // Not read any more, rather than read and thrown away: the peer's own send tells it.
    this.#stopReading()
    this.#pump()
  }

  #received(bytes: Uint8Array, start: number, end: number): void {
    if (this.#state !== 'open') return
    const wasIdle = this.#assembler.idle
    let message: Uint8Array | undefined
    try {
      message = this.#assembler.push(bytes, start, end)
    } catch (error) {
      this.#fault(error as ChunkFault)
      return
    }
    if (message === undefined) {
      if (wasIdle) this.#host.wheel.add(this.#host.wheel.now() + this.#host.limits.messageTimeoutMs, this.#messageLate)
      this.#account()
      return
    }
    if (!wasIdle) this.#host.wheel.remove(this.#messageLate)
    let call: Call
    try {
      call = this.#host.codec.decodeCall(message)
    } catch (error) {
      this.#fault(error as ConclaveError)
      return
    }
    this.#take(call)
  }

  #take(call: Call): void {
    if (this.#queue.length === 0 && this.#mayRun()) {
      if (this.#held > 0) this.#account()
      this.#run(call)
      if (this.#state === 'draining') this.#pump()
      return
    }
    this.#queue.push(call)
    this.#queuedBytes += call.body.length
    if (!this.#account()) return
    const { maxQueuedCalls, maxQueuedBytes } = this.#host.limits
    if (this.#queue.length >= maxQueuedCalls || this.#queuedBytes >= maxQueuedBytes) {
      this.#paused = true
      this.#stopReading()
    }
  }

  /** The next call waits until the answer before it is with the kernel: a peer that does not read can't pile them up. */
  #mayRun(): boolean {
    return this.#running.size < this.#host.limits.maxCallsInFlight && this.#writer.idle
  }

  #run(call: Call): void {
    const running = new RunningCall(this, call)
    this.#running.add(running)
    const ending = this.#host.dispatch(call, running)
    if (ending instanceof Promise) void ending.then((later) => this.#ended(running, later))
    else this.#answer(running, ending)
  }

  #ended(running: RunningCall, ending: Ending): void {
    this.#answer(running, ending)
    this.#pump()
  }

  #answer(running: RunningCall, ending: Ending): void {
    this.#running.delete(running)
    if (this.#state === 'closed') return
    this.#send(this.#encode(running.sequence, ending))
  }

  #encode(sequence: bigint, { status, body }: Ending): MessageParts {
    const { codec, limits } = this.#host
    const answer = codec.encodeAnswer({ sequence, status, ...(body === undefined ? {} : { body }) })
    if (bytesOf(answer) <= limits.maxMessageBytes) return answer
    const text = `An answer of ${bytesOf(answer)} bytes is too long (maxMessageBytes).`
    this.#host.faulted(this, new ConclaveError('TOO_LARGE', text))
    return codec.encodeAnswer({ sequence, status: Status.FAILED_MARSHAL })
  }

  #send(message: MessageParts): void {
    const wasIdle = this.#writer.idle
    this.#writer.send(message)
    if (wasIdle && !this.#writer.idle) this.#awaitReader()
  }

  #awaitReader(): void {
    this.#host.wheel.add(this.#host.wheel.now() + this.#host.limits.writeTimeoutMs, this.#writeLate)
  }

  #drained(): void {
    this.#writer.resume()
    if (this.#writer.idle) this.#host.wheel.remove(this.#writeLate)
    else this.#awaitReader()
    this.#pump()
  }

  /** Runs what may run; ends when nothing is left and nothing more comes. */
  #pump(): void {
    if (this.#state !== 'open' && this.#state !== 'draining') return
    while (this.#queue.length > 0 && this.#mayRun()) {
      const call = this.#queue.shift() as Call
      this.#queuedBytes -= call.body.length
      this.#run(call)
      // Its handler may have closed us.
      if (this.#state === ('closed' as State)) return
    }
    this.#account()
    if (this.#state === 'draining') this.#end()
    else if (this.#paused && this.#queue.length <= this.#host.limits.maxQueuedCalls / 2) this.#resume()
  }

  #stopReading(): void {
    this.#connection.pause()
    this.#askLater()
  }

  #resume(): void {
    this.#paused = false
    this.#host.wheel.remove(this.#unread)
    this.#connection.resume()
  }

  #askLater(): void {
    this.#host.wheel.add(this.#host.wheel.now() + PEER_CHECK_MS, this.#unread)
  }

  #askForPeer(): void {
    if (this.#connection.peerState === 'closed') this.close()
    else this.#askLater()
  }

  #end(): void {
    if (this.#queue.length > 0 || this.#running.size > 0 || !this.#writer.idle) return
    const last = this.#lastAnswer
    if (last !== undefined) {
      this.#lastAnswer = undefined
      this.#send(last)
      if (!this.#writer.idle) return
    }
    this.#state = 'ending'
    this.#host.wheel.remove(this.#unread)
    this.#connection.end()
    // What still comes is thrown away: closing over unread packets would take our answers back from the peer.
    this.#connection.resume()
    this.#host.wheel.add(this.#host.wheel.now() + LINGER_MS, this.#lingered)
  }

  /** Nothing after a fault can be trusted. What came before it is answered; then the peer is told, or not, and left. */
  #fault(error: ConclaveError): void {
    this.#host.faulted(this, error)
    const told = error instanceof ChunkFault ? error.kind === 'answer' : error.code === 'PROTOCOL'
    if (told) {
      this.#lastAnswer = this.#host.codec.encodeAnswer({ sequence: NO_SEQUENCE, status: Status.FAILED_UNMARSHAL_CALL })
    }
    this.drain()
  }

  #giveUp(error: ConclaveError): void {
    this.#host.faulted(this, error)
    this.close()
  }

  /** Half of a message is of no use, but calls that run may still be answered, when the peer only ended its side. */
  #peerEnded(): void {
    if (this.#state === 'ending' || this.#connection.peerState === 'closed') this.close()
    else this.drain()
  }

  #closed(error: Error | undefined): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    for (const entry of [this.#messageLate, this.#writeLate, this.#lingered, this.#unread])
      this.#host.wheel.remove(entry)
    if (isTooLong(error)) this.#host.faulted(this, error)
    this.#writer.clear()
    this.#queue = []
    this.#queuedBytes = 0
    this.#host.hold(-this.#held)
    this.#held = 0
    if (this.#running.size > 0) {
      const reason = new ConclaveError('DISCONNECTED', 'The caller has left.', { cause: error })
      for (const running of this.#running) running.abort(reason)
    }
    this.#host.ended(this)
  }

  /** @returns false when that was too much, and the session is closed */
  #account(): boolean {
    const holds = this.#assembler.pendingBytes + this.#queuedBytes
    const more = holds - this.#held
    if (more === 0) return true
    this.#held = holds
    if (this.#host.hold(more) || more < 0) return true
    const text = 'All sessions together hold too many bytes (maxBufferedBytes): this one asked for more.'
    this.#giveUp(new ConclaveError('OVERLOADED', text))
    return false
  }
}

/** A packet longer than any of ours: the connection has closed itself over it. */
function isTooLong(error: Error | undefined): error is ConclaveError {
  return ConclaveError.is(error) && (error.data as { readonly errno?: string } | undefined)?.errno === 'EMSGSIZE'
}

function late(text: string): ConclaveError {
  return new ConclaveError('TIMEOUT', text)
}
