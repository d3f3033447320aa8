import { oneTurn } from '../../election/wait.ts'
import { Keys, type Verdict } from './keys.ts'
import { MAX_ABANDONED_KEYS, MAX_EVENT_TYPES } from './limits.ts'
import { BUS_VERSION, CONCLAVE_CAPABILITY, type Hello } from './messages.ts'
import type { BusNotice } from './options.ts'
import type { Peer } from './peer.ts'
import { whenGone } from './processes.ts'

export interface ReceptionOptions {
  readonly exclusive: (eventKey: string) => boolean
  readonly helloWaitMs: number
  readonly cleanupTimeoutMs: number
  readonly lingerMs: number
  readonly settleMs: number
  readonly maxConsumers: number
  readonly maxWaiting: number
  readonly notice: (notice: BusNotice) => void
  readonly admitted: (peer: Peer) => void
}

/** Hellos, checks and farewells: gives `Keys` its clock and its peers. */
export class Reception {
  readonly #options: ReceptionOptions
  readonly #keys = new Keys(MAX_ABANDONED_KEYS)
  readonly #peers = new Map<number, Peer>()
  /** Said hello and not answered yet. */
  readonly #waiting = new Map<Peer, NodeJS.Timeout>()
  /** Told to clean up, and still connected. */
  readonly #cleaning = new Map<Peer, NodeJS.Timeout>()
  readonly #expired = new WeakSet<Peer>()
  readonly #lingering = new Map<number, () => void>()
  /** What waits until those of the bus before us had time to come back. */
  #unsettled: (() => void)[] | undefined
  readonly #settling: NodeJS.Timeout | undefined
  #consumers = 0

  constructor(options: ReceptionOptions) {
    this.#options = options
    if (options.settleMs <= 0) return
    this.#unsettled = []
    // A turn later: whoever came back while this process was busy is heard before the timer counts (rule B1).
    this.#settling = setTimeout(() => void oneTurn().then(() => this.#settled()), options.settleMs)
  }

  /** Consumers, and those who want to be. */
  get occupied(): boolean {
    return this.#consumers > 0 || this.#waiting.size > 0 || (this.#unsettled?.length ?? 0) > 0
  }

  get consumers(): number {
    return this.#consumers
  }

  hello(peer: Peer, hello: Hello): void {
    peer.hello = hello
    peer.phase = 'waiting'
    if (peer.kernelPid > 0 && hello.pid !== peer.kernelPid) {
      this.#options.notice({ type: 'wrong-pid', pid: peer.kernelPid, said: hello.pid })
    }
    if (this.#consumers >= this.#options.maxConsumers) this.#reject(peer, `the bus has ${this.#consumers} consumers`)
    else if (this.#waiting.size >= this.#options.maxWaiting)
      this.#reject(peer, 'too many consumers wait to be admitted')
    else if (hello.eventTypes.length > MAX_EVENT_TYPES) this.#reject(peer, `more than ${MAX_EVENT_TYPES} event types`)
    else if (hello.resumed === true) this.#enter(peer, hello)
    else this.#whenSettled(() => this.#enter(peer, hello))
  }

  setupDone(peer: Peer): void {
    this.#carryOut(this.#keys.setupDone(peer.id))
  }

  check(peer: Peer): void {
    this.#whenSettled(() => {
      if (peer.phase !== 'consumer') return
      const lastForKey = this.#keys.check(peer.id)
      if (lastForKey && !this.#cleaning.has(peer)) this.#watchCleanup(peer)
      peer.answer({ type: 'pre_shutdown_ack', lastForKey })
    })
  }

  /** Its connection is over. */
  gone(peer: Peer): void {
    clearTimeout(this.#waiting.get(peer))
    this.#waiting.delete(peer)
    clearTimeout(this.#cleaning.get(peer))
    this.#cleaning.delete(peer)
    if (peer.hello === undefined) return
    const key = keyOf(peer.hello)
    const wasConsumer = this.#peers.has(peer.id)
    const abandonedBefore = this.#keys.isAbandoned(key)
    const verdicts = this.#keys.left(peer.id, this.#howLeft(peer))
    if (wasConsumer) {
      this.#consumers--
      this.#options.notice({ type: 'left', pid: peer.pid, key, consumers: this.#consumers })
      if (!abandonedBefore && this.#keys.isAbandoned(key)) this.#options.notice({ type: 'abandoned', key })
    }
    if (this.#lingering.has(peer.id)) return
    this.#peers.delete(peer.id)
    this.#carryOut(verdicts)
  }

  close(): void {
    clearTimeout(this.#settling)
    this.#unsettled = undefined
    for (const timer of [...this.#waiting.values(), ...this.#cleaning.values()]) clearTimeout(timer)
    for (const stop of this.#lingering.values()) stop()
    this.#waiting.clear()
    this.#cleaning.clear()
    this.#lingering.clear()
  }

  #enter(peer: Peer, hello: Hello): void {
    if (peer.phase !== 'waiting') return
    const timer = setTimeout(() => {
      setImmediate(() => this.#waited(peer, timer))
    }, this.#options.helloWaitMs)
    timer.unref()
    this.#waiting.set(peer, timer)
    this.#peers.set(peer.id, peer)
    this.#carryOut(
      this.#keys.hello(peer.id, keyOf(hello), {
        exclusive: this.#options.exclusive(hello.eventKey),
        tellsSetup: hello.capabilities?.includes(CONCLAVE_CAPABILITY) === true,
        resumed: hello.resumed === true,
      }),
    )
  }

  /** Called a turn after the time: a farewell that came while this process was busy has been read (rule B1). */
  #waited(peer: Peer, timer: NodeJS.Timeout): void {
    if (this.#waiting.get(peer) === timer) this.#carryOut(this.#keys.waited(peer.id))
  }

  #carryOut(verdicts: readonly Verdict[]): void {
    for (const verdict of verdicts) {
      const peer = this.#peers.get(verdict.id)
      if (peer === undefined) continue
      clearTimeout(this.#waiting.get(peer))
      this.#waiting.delete(peer)
      if (verdict.type === 'rejected') {
        const pid = this.#peers.get(verdict.by)?.pid ?? 0
        this.#peers.delete(peer.id)
        const cleanup = `the clean-up of the consumer before (pid ${pid}) is still running for this subscription`
        const taken = `another consumer (pid ${pid}) is already running for this subscription`
        this.#reject(peer, verdict.why === 'cleanup' ? cleanup : taken)
      } else this.#admit(peer, verdict.first, verdict.abandoned)
    }
  }

  #admit(peer: Peer, firstForKey: boolean, abandoned: boolean): void {
    const { hello } = peer
    if (peer.phase !== 'waiting' || hello === undefined) return
    this.#consumers++
    peer.phase = 'consumer'
    const ours = hello.capabilities?.includes(CONCLAVE_CAPABILITY) === true
    const additive = ours ? { capabilities: [CONCLAVE_CAPABILITY], ...(abandoned ? { abandoned } : {}) } : {}
    peer.answer({ type: 'hello_ack', busVersion: BUS_VERSION, firstForKey, ...additive })
    this.#options.admitted(peer)
    this.#options.notice({ type: 'joined', pid: peer.pid, key: keyOf(hello), consumers: this.#consumers })
  }

  #reject(peer: Peer, reason: string): void {
    const key = peer.hello === undefined ? '' : keyOf(peer.hello)
    this.#options.notice({ type: 'rejected', pid: peer.pid, key, reason })
    peer.answer({
      type: 'hello_ack',
      busVersion: BUS_VERSION,
      firstForKey: false,
      rejected: true,
      rejectReason: reason,
    })
    peer.finish()
  }

  /** A consumer that asked and then hangs does not keep the key for ever. */
  #watchCleanup(peer: Peer): void {
    const timer = setTimeout(() => {
      setImmediate(() => this.#cleanupLate(peer, timer))
    }, this.#options.cleanupTimeoutMs)
    timer.unref()
    this.#cleaning.set(peer, timer)
  }

  /** As `#waited`. */
  #cleanupLate(peer: Peer, timer: NodeJS.Timeout): void {
    if (this.#cleaning.get(peer) !== timer || peer.phase === 'over') return
    this.#options.notice({
      type: 'cleanup-timeout',
      key: peer.hello === undefined ? '' : keyOf(peer.hello),
      pid: peer.pid,
    })
    this.#expired.add(peer)
    peer.close()
  }

  /**
   * One of ours says bye when everything is done. One of v1 closes first and cleans up then: its process is watched, and
   * as long as it lives, within a limit, the clean-up may be running (weak point 1 of SEEDS 4.5).
   */
  #howLeft(peer: Peer): 'done' | 'lingers' | 'dead' {
    if (peer.parted) return 'done'
    const ours = peer.hello?.capabilities?.includes(CONCLAVE_CAPABILITY) === true
    if (ours || this.#expired.has(peer) || !this.#keys.cleans(peer.id)) return 'dead'
    // A process is not watched by itself: in one process, as in tests, only the time counts.
    const pid = peer.kernelPid === process.pid ? 0 : peer.kernelPid
    const stop = whenGone(pid, this.#options.lingerMs, () => {
      this.#lingering.delete(peer.id)
      this.#peers.delete(peer.id)
      this.#carryOut(this.#keys.lingered(peer.id))
    })
    this.#lingering.set(peer.id, stop)
    return 'lingers'
  }

  #whenSettled(act: () => void): void {
    if (this.#unsettled === undefined) act()
    else this.#unsettled.push(act)
  }

  #settled(): void {
    const acts = this.#unsettled ?? []
    this.#unsettled = undefined
    for (const act of acts) act()
  }
}

/** What first and last are counted by: the subscription, or the key where a peer names none, or an empty one. */
export function keyOf({ subscriptionId = '', eventKey }: Hello): string {
  return subscriptionId === '' ? eventKey : subscriptionId
}
