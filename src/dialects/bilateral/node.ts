import { randomInt } from 'node:crypto'
import type { Context } from 'zeromq'
import { asError, ConclaveError } from '../../errors/index.ts'
import { DeadlineWheel } from '../../rpc/timers.ts'
import { loadZeromq, type Zeromq } from '../zmq-library.ts'
import type { ConnectorState } from './admission.ts'
import { Binder } from './binder.ts'
import { Calls, type CallOptions } from './calls.ts'
import type { Codec, MethodTypes } from './codec.ts'
import { Connector } from './connector.ts'
import { newCounters, type Counters } from './counters.ts'
import { Dispatcher } from './dispatcher.ts'
import { Gatekeeper } from './gatekeeper.ts'
import { gobCodec } from './gob-codec.ts'
import { jsonCodec } from './json-codec.ts'
import { checkKey, checkName } from './keys.ts'
import { checkMethod, Methods, type Handlers, type RegisterOptions } from './methods.ts'
import { boundsOf, routerOptions, type BilateralOptions, type Bounds, type RouterOptions } from './options.ts'
import { Peer } from './peer.ts'
import type { Missing, Replies } from './pending.ts'
import type { Switchboard } from './switchboard.ts'
import { timesOf, type Times } from './times.ts'
import { Waiters, type WaitOptions } from './waiters.ts'

/** One peer, or a name that we try to connect to. */
export interface PeerInfo {
  readonly name: string
  /** `serving`: it connects to us, and we admitted it; else where our connection to it stands. */
  readonly state: 'serving' | ConnectorState
  /** Calls can be made to it. */
  readonly active: boolean
  /** Of the connections that we make. */
  readonly address: string | undefined
}

interface Identity {
  readonly name: string
  readonly secretKey?: string
}

/**
 * A node of a named network of equals: each may listen, connect, or do both, and once two are connected both may call.
 * Made by `plaintext` or `encrypted`. Nothing a peer sends ends it; `counters` tells what it survived.
 */
export class Bilateral implements AsyncDisposable {
  /** With keys, the public one. */
  readonly name: string
  readonly network: string
  readonly encrypted: boolean
  readonly #library: Zeromq
  readonly #context: Context
  readonly #options: BilateralOptions
  readonly #bounds: Bounds
  readonly #times: Times
  readonly #identity: Identity
  readonly #codec: Codec
  readonly #counters = newCounters()
  readonly #methods = new Methods()
  readonly #active = new Map<string, Peer>()
  readonly #connectors = new Map<string, Connector>()
  readonly #waiters = new Waiters(() => this.#active)
  readonly #wheel = new DeadlineWheel({ now: () => performance.now(), ref: true })
  readonly #calls: Calls
  readonly #dispatcher: Dispatcher
  readonly #binder: Binder
  #gatekeeper: Gatekeeper | undefined
  #closing: Promise<void> | undefined

  /**
   * A node whose messages travel in the clear, and that takes every peer's word for its name.
   * @throws `INVALID_OPTION`, `UNSUPPORTED` without the package zeromq
   */
  static async plaintext(network: string, name: string, options: BilateralOptions = {}): Promise<Bilateral> {
    checkName(name, 'name of a node')
    if (options.allow !== undefined) {
      throw new ConclaveError('INVALID_OPTION', 'allow lists keys: it needs Bilateral.encrypted().')
    }
    return new Bilateral(await loadZeromq(), network, { name }, options)
  }

  /**
   * A node that speaks CURVE. Its name is its public key, and so is the name of each peer: nobody can claim another's.
   * @throws `INVALID_OPTION`, `UNSUPPORTED` without the package zeromq
   */
  static async encrypted(
    network: string,
    publicKey: string,
    secretKey: string,
    options: BilateralOptions = {},
  ): Promise<Bilateral> {
    checkKey(publicKey, 'publicKey')
    checkKey(secretKey, 'secretKey')
    for (const key of options.allow ?? []) checkKey(key, `${JSON.stringify(key)} in allow`)
    const node = new Bilateral(await loadZeromq(), network, { name: publicKey, secretKey }, options)
    await node.#guard()
    return node
  }

  private constructor(library: Zeromq, network: string, identity: Identity, options: BilateralOptions) {
    this.#bounds = boundsOf(options)
    this.#times = timesOf(options.times)
    this.network = checkName(network, 'name of a network')
    this.name = identity.name
    this.encrypted = identity.secretKey !== undefined
    this.#library = library
    this.#identity = identity
    this.#options = options
    this.#codec = options.codec === 'json' ? jsonCodec : gobCodec
    // One of its own: questions who may connect are asked per context. One I/O thread: the gatekeeper relies on it.
    this.#context = new library.Context({ ioThreads: 1 })
    this.#calls = new Calls({
      codec: this.#codec,
      wheel: this.#wheel,
      counters: this.#counters,
      maxPending: this.#bounds.maxPendingCalls,
      maxPendingBytes: this.#bounds.maxPendingBytes,
      maxMessageBytes: this.#bounds.maxMessageBytes,
      firstId: options.firstId ?? randomInt(1, 2 ** 47),
      peer: (name) => this.#active.get(name),
    })
    this.#dispatcher = new Dispatcher({
      codec: this.#codec,
      methods: this.#methods,
      counters: this.#counters,
      maxRequests: this.#bounds.maxRequests,
      maxRequestsAPeer: this.#bounds.maxRequestsAPeer,
      maxMessageBytes: this.#bounds.maxMessageBytes,
      typesOf: (method) => this.#typesOf(method),
      onError: (error) => this.#report(error),
    })
    this.#binder = new Binder({
      library,
      context: this.#context,
      socketOptions: this.#boundOptions(),
      board: this.#newBoard(),
      serveMs: this.#times.serveMs,
      maxPeers: this.#bounds.maxPeers,
      connector: (name) => this.#connectors.get(name)?.state,
      yield: (name) => this.#connectors.get(name)?.yield(),
    })
  }

  /** What was survived, and how often. */
  get counters(): Readonly<Counters> {
    return { ...this.#counters }
  }

  get connectionCount(): number {
    return this.#active.size
  }

  /** Names of those who can be called. */
  activeConnections(): string[] {
    return [...this.#active.keys()]
  }

  /** All peers, also those we only try to connect to. */
  peers(): PeerInfo[] {
    const infos = new Map<string, PeerInfo>()
    for (const { name, state, address } of this.#connectors.values()) {
      infos.set(name, { name, state, active: state === 'connected', address })
    }
    for (const { name, upstream } of this.#active.values()) {
      if (!upstream) infos.set(name, { name, state: 'serving', active: true, address: infos.get(name)?.address })
    }
    return [...infos.values()]
  }

  /**
   * Takes connections there: `tcp://127.0.0.1:*`, `ipc:///run/user/1000/node`, …
   * @returns the addresses with what the system filled in
   * @throws `SOCKET_IN_USE`, `INVALID_OPTION`, `CLOSED`
   */
  async listenOn(...addresses: readonly string[]): Promise<string[]> {
    this.#checkOpen()
    return addresses.map((address) => this.#binder.listen(address))
  }

  /**
   * Connects, and stays connected, until `disconnectFrom`; `connected()` waits for it. Connecting to each other is no
   * mistake: one of the two connections stays.
   * @param name of the peer; with keys, its public key
   * @throws `INVALID_OPTION`: a name that is none, our own, or one we connect to elsewhere; `CLOSED`
   */
  connectTo(name: string, address: string): void {
    this.#checkOpen()
    if (this.encrypted) checkKey(name, 'The name of an encrypted peer')
    else checkName(name, 'name of a node')
    checkAddress(address)
    if (name === this.name) throw new ConclaveError('INVALID_OPTION', 'A node does not connect to itself.')
    const known = this.#connectors.get(name)
    if (known?.address === address) return
    if (known !== undefined) {
      throw new ConclaveError('INVALID_OPTION', `${name} is connected at ${known.address}: disconnectFrom() it first.`)
    }
    const connector = new Connector({
      library: this.#library,
      context: this.#context,
      name,
      address,
      socketOptions: this.#connectOptions(name),
      times: this.#times,
      board: this.#newBoard(),
    })
    this.#connectors.set(name, connector)
    connector.start()
    if (this.#active.has(name)) connector.yield()
  }

  /** Ends the connection. @returns false when we did not make one */
  disconnectFrom(name: string): boolean {
    const connector = this.#connectors.get(name)
    this.#connectors.delete(name)
    connector?.stop()
    return connector !== undefined
  }

  /** Waits until the peer, all of the peers, or so many are connected. @throws `TIMEOUT`, `ABORTED`, `CLOSED` */
  async connected(who: string | readonly string[] | number, options: WaitOptions = {}): Promise<void> {
    this.#checkOpen()
    await this.#waiters.wait(who, options)
  }

  /**
   * Offers an object's methods as `Type.method`, or the functions of a map under their whole names.
   * @returns the names
   * @throws `INVALID_OPTION` for a name that is taken or has no dot
   */
  register(target: object | Handlers, options: RegisterOptions = {}): string[] {
    return this.#methods.register(target, options)
  }

  /**
   * Calls a method of several peers at once.
   * @param to names; none: all that are connected now
   * @returns the answers of those who answered in time, and in `missing` who did not. Failures there are no rejection
   * @throws `INVALID_OPTION`, `INVALID_REQUEST`, `TOO_LARGE`, `OVERLOADED`, `ABORTED`, `CLOSED`
   */
  async call<R = unknown>(
    to: readonly string[],
    method: string,
    args: unknown = {},
    options: number | CallOptions = {},
  ): Promise<Replies<R>> {
    const names = to.length === 0 ? this.activeConnections() : to
    const given = this.#check(method, options)
    if (names.length === 0) return Object.assign([], { missing: [] })
    return this.#calls.gather(names, method, args, given) as Promise<Replies<R>>
  }

  /**
   * Calls a method of one peer.
   * @throws what the handler threw there (`FAILED`), `METHOD_NOT_FOUND`, `TIMEOUT`, `DISCONNECTED`, and what `call` throws
   */
  callOne<R = unknown>(to: string, method: string, args: unknown = {}, options: number | CallOptions = {}): Promise<R> {
    try {
      return this.#calls.one(to, method, args, this.#check(method, options)) as Promise<R>
    } catch (error) {
      return Promise.reject(asError(error))
    }
  }

  /**
   * As `call`, without an answer: resolves when the messages are on their way.
   * @returns those it could not be sent to
   * @throws `INVALID_OPTION`, `INVALID_REQUEST`, `TOO_LARGE`, `CLOSED`
   */
  async cast(
    to: readonly string[],
    method: string,
    args: unknown = {},
    options: Pick<CallOptions, 'types'> = {},
  ): Promise<readonly Missing[]> {
    this.#checkOpen()
    checkMethod(method)
    const names = to.length === 0 ? this.activeConnections() : to
    return this.#calls.cast(names, method, args, options.types ?? this.#typesOf(method))
  }

  /** Takes no more calls, lets requests that run finish (`drainMs`), and ends. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(): Promise<void> {
    this.#calls.close()
    this.#waiters.close()
    await this.#dispatcher.drain(this.#bounds.drainMs)
    for (const connector of this.#connectors.values()) connector.stop()
    this.#connectors.clear()
    this.#binder.close()
    this.#gatekeeper?.close()
    this.#active.clear()
    this.#wheel.close()
  }

  async #guard(): Promise<void> {
    const { allow } = this.#options
    const allowed = allow === undefined ? undefined : new Set(allow)
    this.#gatekeeper = await Gatekeeper.start(this.#library, this.#context, (key) => {
      const admitted = allowed?.has(key) ?? true
      if (!admitted) this.#counters.refusedKeys++
      return admitted
    })
  }

  #boundOptions(): RouterOptions {
    const { name, secretKey } = this.#identity
    const options = routerOptions(name, this.#bounds)
    if (secretKey === undefined) return options
    return { ...options, curveServer: true, curvePublicKey: name, curveSecretKey: secretKey, zapDomain: name }
  }

  #connectOptions(peer: string): RouterOptions {
    const { name, secretKey } = this.#identity
    const options = routerOptions(name, this.#bounds)
    if (secretKey === undefined) return options
    return { ...options, curveServerKey: peer, curvePublicKey: name, curveSecretKey: secretKey }
  }

  #check(method: string, options: number | CallOptions): CallOptions {
    this.#checkOpen()
    checkMethod(method)
    if (typeof options === 'number') return { timeoutMs: options, types: this.#typesOf(method) }
    return options.types === undefined ? { ...options, types: this.#typesOf(method) } : options
  }

  #typesOf(method: string): MethodTypes | undefined {
    const { types } = this.#options
    return types !== undefined && Object.hasOwn(types, method) ? types[method] : undefined
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new ConclaveError('CLOSED', 'The node was closed.')
  }

  #report(error: Error): void {
    try {
      this.#options.onError?.(error)
    } catch {
      // A fault of the listener must not end what it listens to.
    }
  }

  #changed(type: 'up' | 'down', { name, upstream }: Peer): void {
    try {
      this.#options.onPeer?.({ type, name, upstream })
    } catch (error) {
      this.#report(asError(error))
    }
  }

  /** What connectors and the binder see of this node. */
  #newBoard(): Switchboard {
    return {
      own: this.name,
      network: this.network,
      counters: this.#counters,
      newPeer: (name, upstream, outbox, probe) => {
        const { maxUnheardBytes } = this.#bounds
        return new Peer({ name, upstream, outbox, maxUnheardBytes, now: performance.now(), probe })
      },
      peerUp: (peer) => {
        this.#active.set(peer.name, peer)
        this.#changed('up', peer)
        this.#waiters.check()
      },
      peerDown: (peer) => {
        if (this.#active.get(peer.name) !== peer) return
        this.#active.delete(peer.name)
        this.#calls.lost(peer.name)
        this.#changed('down', peer)
        if (!peer.upstream) this.#connectors.get(peer.name)?.resume()
      },
      message: (peer, command, data) => {
        if (command === 'BACK') this.#calls.answer(peer, data)
        else this.#dispatcher.take(peer, data, command === 'CAST')
      },
      failed: (error, what) => {
        const cause = asError(error)
        this.#report(new ConclaveError('INTERNAL', `${what}: ${cause.message}`, { cause }))
      },
    }
  }
}

/** @throws `INVALID_OPTION` */
function checkAddress(address: string): void {
  if (/^(?:tcp|ipc):\/\/./.test(address)) return
  throw new ConclaveError(
    'INVALID_OPTION',
    `${JSON.stringify(address)} is no address: it begins with tcp:// or ipc://.`,
  )
}
