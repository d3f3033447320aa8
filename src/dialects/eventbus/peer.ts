import type { Connection } from '../../transport/index.ts'
import { LineLink } from '../shared/link.ts'
import { decodeAny, encodeAny } from './codec.ts'
import type { EventText } from './event-text.ts'
import { BATCH_BYTES, BATCH_EVENTS, QUEUED_ANSWERS } from './limits.ts'
import type { AnyMessage, Hello } from './messages.ts'
import { OutQueue, type OutQueueLimits } from './out-queue.ts'

export interface PeerOptions {
  readonly maxFrameBytes: number
  readonly writeTimeoutMs: number
  readonly firstMessageTimeoutMs: number
  readonly queue: OutQueueLimits
}

export interface PeerHandlers {
  /** `undefined`: an empty line, bad JSON, an unknown type. */
  onMessage(peer: Peer, message: AnyMessage | undefined): void
  onDrain(peer: Peer): void
  /** It wants to write in this turn. */
  onDirty(peer: Peer): void
  onGone(peer: Peer): void
}

/** The bus's side of one connection. */
export class Peer {
  readonly id: number
  /** `stranger`: nothing said yet. `waiting`: said hello, not answered. `over`: nothing of it is heard any more. */
  phase: 'stranger' | 'waiting' | 'consumer' | 'over' = 'stranger'
  hello: Hello | undefined
  /** It said bye. */
  parted = false
  readonly queue: OutQueue
  readonly #options: PeerOptions
  readonly #handlers: PeerHandlers
  readonly #link: LineLink
  /** For the first message, then for answers that the kernel does not take. */
  #deadline: NodeJS.Timeout | undefined
  #answerEnd = 0
  #finishing = false
  #taken = -1
  #takenAtMs = -Infinity
  #stuck = false

  constructor(id: number, connection: Connection, options: PeerOptions, handlers: PeerHandlers) {
    this.id = id
    this.queue = new OutQueue(options.queue)
    this.#options = options
    this.#handlers = handlers
    this.#link = new LineLink(
      connection,
      { maxLineBytes: options.maxFrameBytes, fatal: false, lingerMs: options.writeTimeoutMs },
      {
        onLine: (text) => handlers.onMessage(this, decoded(text)),
        onTooLong: () => this.close(),
        onInvalid: () => handlers.onMessage(this, undefined),
        onEnd: () => this.close(),
        onDrain: () => this.#drained(),
        onClose: () => {
          clearTimeout(this.#deadline)
          this.phase = 'over'
          handlers.onGone(this)
        },
      },
    )
    this.#deadline = setTimeout(() => setImmediate(() => this.#silent()), options.firstMessageTimeoutMs)
    this.#deadline.unref()
  }

  /** The kernel's word for who it is; what it says itself only where the kernel sees no pid (another namespace). */
  get pid(): number {
    const { pid } = this.#link.peer
    return pid > 0 ? pid : (this.hello?.pid ?? 0)
  }

  /** Its process by the kernel; 0 where that is not known. */
  get kernelPid(): number {
    return this.#link.peer.pid
  }

  get bufferedBytes(): number {
    return this.#link.bufferedBytes
  }

  /** The first message has come. */
  known(): void {
    clearTimeout(this.#deadline)
    this.#deadline = undefined
  }

  event(text: EventText): void {
    this.queue.event(text)
    if (this.queue.events >= BATCH_EVENTS) this.flush()
    else this.#handlers.onDirty(this)
  }

  state(line: string): void {
    this.queue.state(line)
    this.#handlers.onDirty(this)
  }

  /** An answer goes at once and may not wait for ever (weak point 6: nothing hangs on a peer that does not read). */
  answer(message: AnyMessage): void {
    this.queue.answer(encodeAny(message, this.#options.maxFrameBytes))
    if (this.queue.answers > QUEUED_ANSWERS) {
      this.close()
      return
    }
    this.flush()
    this.#armAnswer()
  }

  flush(): void {
    while (this.queue.size > 0 && this.#link.bufferedBytes === 0 && !this.#link.ended) {
      const hadAnswers = this.queue.answers > 0
      this.#link.write(this.queue.take(BATCH_BYTES))
      if (hadAnswers) this.#answerEnd = this.#link.writtenBytes
    }
    if (this.#finishing && this.queue.size === 0) this.#link.end()
  }

  /** Nothing more is heard; what is queued still goes, then the connection ends. */
  finish(): void {
    this.phase = 'over'
    this.#finishing = true
    this.flush()
    this.#armAnswer()
  }

  close(): void {
    this.phase = 'over'
    this.#link.close()
  }

  /** It had not taken anything for too long when it was last looked at, and has not since. */
  get stuck(): boolean {
    return this.#stuck && this.#link.bufferedBytes > 0 && this.#link.takenBytes === this.#taken
  }

  /** To be called when what the kernel had to tell has been heard: our own busy loop is no stall of the peer (rule B1). */
  look(nowMs: number, stallMs: number): void {
    if (this.#link.bufferedBytes > 0 && this.#link.takenBytes === this.#taken) {
      this.#stuck = nowMs - this.#takenAtMs >= stallMs
      return
    }
    this.#taken = this.#link.takenBytes
    this.#takenAtMs = nowMs
    this.#stuck = false
  }

  #drained(): void {
    this.flush()
    if (this.#deadline !== undefined && !this.#owesAnswer()) {
      clearTimeout(this.#deadline)
      this.#deadline = undefined
    }
    this.#handlers.onDrain(this)
  }

  #owesAnswer(): boolean {
    return this.queue.answers > 0 || this.#link.takenBytes < this.#answerEnd || (this.#finishing && this.queue.size > 0)
  }

  /** Called a turn after the time: what came while this process was busy has been read (rule B1). */
  #silent(): void {
    if (this.phase === 'stranger') this.close()
  }

  #armAnswer(): void {
    if (this.#deadline !== undefined || !this.#owesAnswer()) return
    const deadline = setTimeout(() => {
      setImmediate(() => this.#late(deadline))
    }, this.#options.writeTimeoutMs)
    deadline.unref()
    this.#deadline = deadline
  }

  /** As `#silent`: what the kernel took while this process was busy counts. */
  #late(deadline: NodeJS.Timeout): void {
    if (this.#deadline !== deadline) return
    this.#deadline = undefined
    if (this.#owesAnswer()) this.close()
  }
}

function decoded(text: string): AnyMessage | undefined {
  try {
    return decodeAny(text)
  } catch {
    return undefined
  }
}
