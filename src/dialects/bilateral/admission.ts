import { PART_STEPS } from './limits.ts'
import type { Times } from './times.ts'

/**
 * Where a connector stands. `yielded`: the peer connects to us instead; `stopped`: for good.
 */
export type ConnectorState = 'waiting' | 'handshake' | 'connected' | 'yielded' | 'stopped'

/** What its owner has to do: make or end the connection, send JOIN or TICK, tell that the peer is there or gone. */
export type Order = 'open' | 'close' | 'join' | 'tick' | 'up' | 'down'

const NOTHING: readonly Order[] = []

/**
 * A connector's side of admission, as a pure machine: it is told what happened and when (monotonic milliseconds), and
 * says what to do. Beyond what existing nodes do, it knows when its connection comes up or breaks: a peer that restarted
 * is asked for admission again at once (weak point 5).
 */
export class ConnectorMachine {
  readonly #times: Times
  readonly #random: () => number
  #state: ConnectorState = 'stopped'
  #linked = false
  #wakeAt = Infinity
  #joins = 0
  #backoff = 0
  #ticks = 0
  #asked = false
  #heardAt = 0

  /** @param random from 0 to below 1 */
  constructor(times: Times, random: () => number) {
    this.#times = times
    this.#random = random
  }

  get state(): ConnectorState {
    return this.#state
  }

  /** When `due` is to be called next; Infinity: not by the clock. */
  get wakeAt(): number {
    return this.#wakeAt
  }

  /** The counter of the last TICK. */
  get ticks(): number {
    return this.#ticks
  }

  get backoff(): number {
    return this.#backoff
  }

  start(now: number): void {
    this.#wait(now, this.#times.startDelayMs)
  }

  /** The time has come, or may have. */
  due(now: number): readonly Order[] {
    if (now < this.#wakeAt) return NOTHING
    const { joinFirstMs, maxJoins, idleMs, silenceMs } = this.#times
    switch (this.#state) {
      case 'waiting':
        this.#state = 'handshake'
        this.#linked = false
        this.#joins = 0
        this.#wakeAt = now + joinFirstMs
        return ['open']
      case 'handshake':
        return this.#joins >= maxJoins ? this.#retreat(now, ['close']) : this.#join(now)
      case 'connected': {
        const silence = now - this.#heardAt
        if (this.#asked && now - this.#wakeAt <= silenceMs) return this.#retreat(now, ['close', 'down'])
        // This process slept: the binder may have forgotten it, or its answer has not been read.
        if (this.#asked || silence > idleMs + silenceMs) return ['down', ...this.#again(now)]
        if (silence < idleMs) {
          this.#wakeAt = this.#heardAt + idleMs
          return NOTHING
        }
        this.#asked = true
        this.#ticks++
        this.#wakeAt = now + silenceMs
        return ['tick']
      }
      case 'yielded':
      case 'stopped':
        return NOTHING
    }
  }

  /** The connection is there. */
  linkUp(now: number): readonly Order[] {
    this.#linked = true
    return this.#state === 'handshake' ? this.#join(now) : NOTHING
  }

  /** The connection broke; it is being made again. */
  linkDown(now: number): readonly Order[] {
    this.#linked = false
    if (this.#state !== 'connected') return NOTHING
    this.#state = 'handshake'
    this.#joins = 0
    this.#wakeAt = now + this.#times.joinEveryMs
    return ['down']
  }

  stay(now: number): readonly Order[] {
    if (this.#state !== 'handshake') return NOTHING
    this.#state = 'connected'
    this.#heardAt = now
    this.#asked = false
    this.#wakeAt = now + this.#times.idleMs
    return ['up']
  }

  part(now: number): readonly Order[] {
    if (this.#state !== 'handshake' && this.#state !== 'connected') return NOTHING
    const orders: readonly Order[] = this.#state === 'connected' ? ['close', 'down'] : ['close']
    const { partWaitMs, partStepMs } = this.#times
    this.#wait(now, partWaitMs + Math.floor(this.#random() * PART_STEPS) * partStepMs)
    return orders
  }

  /** A CALL, CAST, BACK or TOCK came. @returns true when it has to be woken earlier than before */
  heard(now: number): boolean {
    this.#heardAt = now
    this.#backoff = 0
    if (!this.#asked) return false
    this.#asked = false
    this.#wakeAt = now + this.#times.idleMs
    return true
  }

  /** The peer is served by us now. */
  yield(): readonly Order[] {
    if (this.#state === 'stopped' || this.#state === 'yielded') return NOTHING
    return this.#end('yielded')
  }

  /** It no longer is: connect again. */
  resume(now: number): void {
    if (this.#state === 'yielded') this.start(now)
  }

  stop(): readonly Order[] {
    return this.#end('stopped')
  }

  #end(state: 'yielded' | 'stopped'): readonly Order[] {
    const before = this.#state
    this.#state = state
    this.#wakeAt = Infinity
    if (before === 'connected') return ['close', 'down']
    return before === 'handshake' ? ['close'] : NOTHING
  }

  /**
   * Without a connection a JOIN is counted and not sent: there is nobody to get it, and one that goes out as the
   * connection comes up would be followed by that of `linkUp`.
   */
  #join(now: number): readonly Order[] {
    this.#joins++
    this.#wakeAt = now + this.#times.joinEveryMs
    return this.#linked ? ['join'] : NOTHING
  }

  #again(now: number): readonly Order[] {
    this.#state = 'handshake'
    this.#joins = 0
    return this.#join(now)
  }

  #retreat(now: number, orders: readonly Order[]): readonly Order[] {
    const { backoffMs, maxBackoff } = this.#times
    this.#wait(now, backoffMs * 2 ** this.#backoff)
    this.#backoff = Math.min(this.#backoff + 1, maxBackoff)
    return orders
  }

  #wait(now: number, ms: number): void {
    this.#state = 'waiting'
    this.#asked = false
    this.#wakeAt = now + ms
  }
}

export interface Applicant {
  readonly name: string
  /** Our own name. */
  readonly own: string
  /** The network that its JOIN names is ours. */
  readonly networkFits: boolean
  /** We connect to that name ourselves, and stand there. */
  readonly connector: ConnectorState | undefined
  /** It is served already. */
  readonly served: boolean
  /** No more names are taken. */
  readonly full: boolean
}

export type Verdict = 'stay' | 'network' | 'own-name' | 'crossed' | 'full'

/**
 * A binder's answer to JOIN: all but `stay` are a PART. The network is checked each time (weak point 9), and a name that
 * is served already is served again at once: its process restarted (weak point 4). Where both sides ask each other, the
 * connection of the smaller name stays; with an existing node at the other end, whichever it admits.
 */
export function judge({ name, own, networkFits, connector, served, full }: Applicant): Verdict {
  if (!networkFits) return 'network'
  if (name === own) return 'own-name'
  if (connector === 'connected') return 'crossed'
  if (connector === 'handshake' && own < name) return 'crossed'
  return full && !served ? 'full' : 'stay'
}
