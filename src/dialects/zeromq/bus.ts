import { randomBytes } from 'node:crypto'
import { asError, ConclaveError } from '../../errors/index.ts'
import { posixPlatform } from '../../platform/index.ts'
import { Later } from '../shared/abort.ts'
import { closeSockets, openSockets, type BusSockets } from './bus-sockets.ts'
import { checkTopic, Clock, eventFrame, frameHead } from './envelope.ts'
import { EVENTS_A_TURN, LOCK_CHECK_MS, MAX_NUMBERED_TOPICS } from './limits.ts'
import { Methods } from './methods.ts'
import { busLimits, type BusLimits } from './options.ts'
import { checkEndpoint, endpointsForPath, ipcEndpoints, type BusAddress, type Endpoints } from './ports.ts'
import { answerProbes, HEARTBEAT, SHUTDOWN } from './probe.ts'
import { Answering } from './router.ts'
import { checkTransport } from './security.ts'
import { told } from './told.ts'
import type { BusCounters, BusOptions, MethodHandler, MethodOptions, PublishOptions } from './types.ts'
import { WaterMark } from './water-mark.ts'

const DONE: Promise<void> = Promise.resolve()

interface Topic {
  readonly head: string
  seq: number
}

interface Running extends BusSockets {
  readonly answering: Answering
  readonly heartbeat: NodeJS.Timeout | undefined
  readonly lockCheck: NodeJS.Timeout | undefined
  readonly sequenced: boolean
}

/** Events to all subscribers (PUB), and calls from anybody (ROUTER, JSON-RPC 2.0). */
export class Bus implements AsyncDisposable {
  readonly instanceId: string
  readonly startedAt: Date = new Date()
  /** Resolves when the bus has ended: with `LOCK_LOST` if that is why. Never rejects. */
  readonly closed: Promise<ConclaveError | undefined>
  readonly #options: BusOptions
  readonly #limits: BusLimits
  readonly #methods = new Methods()
  readonly #topics = new Map<string, Topic>()
  readonly #clock = new Clock()
  readonly #mark: WaterMark
  readonly #ended = new Later<ConclaveError | undefined>()
  readonly #projectId: string
  #state: 'new' | 'starting' | 'running' | 'closing' | 'closed' = 'new'
  #running: Running | undefined
  #started: Promise<void> | undefined
  #closing: Promise<void> | undefined
  /** A name that nobody else can have. */
  #private: string | undefined
  #published = 0
  #inTurn = 0
  #turn: Promise<void> | undefined

  constructor(options: BusOptions = {}) {
    this.instanceId = options.instanceId ?? `instance-${randomBytes(8).toString('hex')}`
    const bytes = Buffer.byteLength(this.instanceId)
    if (bytes < 1 || bytes > 255 || this.instanceId.includes('\0')) {
      throw new ConclaveError('INVALID_OPTION', 'instanceId has 1 to 255 bytes and no zero character.')
    }
    this.#options = options
    this.#limits = busLimits(options)
    this.#projectId = options.projectId ?? ''
    this.#mark = new WaterMark(this.#limits.sendHighWaterMark, this.#limits.sendHighWaterBytes)
    this.closed = this.#ended.promise
    answerProbes(this)
  }

  /**
   * Binds both sockets: on Unix sockets in our private folder; at two ports of 127.0.0.1 (0: any); or at endpoints.
   * @throws `INVALID_OPTION` (TCP with neither `keys` nor `insecure`), `SOCKET_IN_USE`, `UNSUPPORTED` (no zeromq),
   * `LOCK_LOST`, `PATH_TOO_LONG`, `CLOSED`
   */
  async start(): Promise<void>
  async start(pubPort: number, rpcPort: number): Promise<void>
  async start(address: Endpoints): Promise<void>
  async start(where?: number | Endpoints, rpcPort?: number): Promise<void> {
    if (this.#state !== 'new' || this.#closing !== undefined) {
      throw new ConclaveError('CLOSED', 'A bus is started once: make another.')
    }
    this.#started = this.#start(where, rpcPort)
    await this.#started
  }

  /** Where subscribers connect to. @throws `CLOSED` before the start */
  get pubAddr(): string {
    return this.#bound('pub')
  }

  /** Where callers connect to. @throws `CLOSED` before the start */
  get rpcAddr(): string {
    return this.#bound('rpc')
  }

  /** Both, with the key: what `Client` takes, and `acquireLock` writes down. */
  get address(): BusAddress {
    const serverKey = this.#options.keys?.publicKey
    return { pub: this.pubAddr, rpc: this.rpcAddr, ...(serverKey === undefined ? {} : { serverKey }) }
  }

  get counters(): BusCounters {
    const { answering, gatekeeper } = this.#running ?? {}
    return {
      published: this.#published,
      requests: answering?.requests ?? 0,
      running: answering?.running ?? 0,
      refused: answering?.refused ?? 0,
      undeliverable: answering?.undeliverable ?? 0,
      strangers: gatekeeper?.refused ?? 0,
    }
  }

  /**
   * Hands an event to libzmq, for every subscriber whose prefix it has: never waits for any of them. Who awaits it lets the
   * rest of the process run now and then. A subscriber that does not read loses events once its queue is full.
   * @param payload JSON
   * @throws at once: `INVALID_OPTION` (the topic), `INVALID_REQUEST` (no JSON), `TOO_LARGE`, `CLOSED`
   */
  publish(topic: string, payload: unknown, { sessionId }: PublishOptions = {}): Promise<void> {
    const running = this.#running
    if (running === undefined || this.#state !== 'running') {
      throw new ConclaveError(
        'CLOSED',
        `The bus is ${this.#state === 'new' ? 'not started: await start()' : 'closed'}.`,
      )
    }
    this.#send(running, topic, payload, sessionId)
    if (++this.#inTurn === 1) setImmediate(this.#turnOver)
    if (this.#inTurn < EVENTS_A_TURN) return DONE
    return (this.#turn ??= new Promise((resolve) => setImmediate(resolve)))
  }

  /**
   * Answers calls of a method: its result, or its promise's, is any JSON; what it throws goes to the caller.
   * @throws `CONFLICT` when the name is taken
   */
  registerMethod(name: string, handler: MethodHandler, options: MethodOptions = {}): Disposable {
    return this.#methods.register(name, handler, options)
  }

  /** An event `instance.heartbeat`, beside those that come by themselves. */
  heartbeat(more: Readonly<Record<string, unknown>> = {}): void {
    if (this.#state !== 'running') return
    void this.publish(HEARTBEAT, { instance_id: this.instanceId, started_at: this.startedAt.toISOString(), ...more })
  }

  /**
   * No new peers; what runs is answered (`drainMs`); `instance.shutdown` is published, last; and libzmq gets `lingerMs` to
   * send what is left, in the background, also while the process ends. Idempotent.
   */
  shutdown(): Promise<void> {
    return (this.#closing ??= this.#end(undefined))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }

  async #start(where: number | Endpoints | undefined, rpcPort: number | undefined): Promise<void> {
    const { pub, rpc } = this.#addressOf(where, rpcPort)
    for (const endpoint of [pub, rpc]) {
      checkTransport(endpoint, this.#options.keys !== undefined, this.#options.insecure)
    }
    this.#checkLock()
    this.#state = 'starting'
    let sockets: BusSockets
    try {
      const { keys } = this.#options
      const own = { ...this.#limits, keys, routingId: this.instanceId, exclusive: this.#private !== pub }
      sockets = await openSockets({ pub, rpc }, own)
    } catch (error) {
      this.#state = 'closed'
      this.#ended.resolve(undefined)
      throw error
    }
    this.#run(sockets)
  }

  #addressOf(where: number | Endpoints | undefined, rpcPort: number | undefined): Endpoints {
    if (typeof where === 'object') {
      for (const endpoint of [where.pub, where.rpc]) checkEndpoint(endpoint)
      return where
    }
    if (where !== undefined) return { pub: loopback(where), rpc: loopback(rpcPort ?? where + 1) }
    const { workdir } = this.#options
    if (workdir !== undefined) return endpointsForPath(workdir)
    const own = ipcEndpoints(posixPlatform(), randomBytes(8).toString('hex'))
    this.#private = own.pub
    return own
  }

  #run(sockets: BusSockets): void {
    const { heartbeatMs } = this.#limits
    const { lock, sequence, onNotice } = this.#options
    const answering = new Answering(sockets.router, this.#methods, this.#limits, {
      failed: (method, error, notification) =>
        told(onNotice, { type: notification ? 'notification-error' : 'handler-error', method, error }),
      undeliverable: (peer, error) => told(onNotice, { type: 'undeliverable', peer, error }),
    })
    this.#running = {
      ...sockets,
      answering,
      sequenced: sequence ?? sockets.pub.endpoint.startsWith('ipc://'),
      heartbeat: heartbeatMs > 0 ? setInterval(() => this.heartbeat(), heartbeatMs).unref() : undefined,
      lockCheck: lock === undefined ? undefined : setInterval(() => this.#watchLock(), LOCK_CHECK_MS).unref(),
    }
    this.#state = 'running'
    answering.run().catch((cause: unknown) => {
      this.#closing ??= this.#end(new ConclaveError('INTERNAL', 'The socket for calls failed.', { cause }))
    })
  }

  #send(running: Running, name: string, payload: unknown, sessionId: string | undefined): void {
    const topic = this.#topicOf(name)
    const head = sessionId === undefined ? topic.head : frameHead(this.instanceId, this.#projectId, name, sessionId)
    const seq = running.sequenced && topic.seq >= 0 ? topic.seq + 1 : undefined
    const frame = eventFrame(head, this.#clock.now(), payload, seq)
    const { maxMessageBytes } = this.#limits
    if (frame.length * 3 > maxMessageBytes && Buffer.byteLength(frame) > maxMessageBytes) {
      throw new ConclaveError(
        'TOO_LARGE',
        `The event is longer than ${maxMessageBytes} bytes: publish where it can be found.`,
      )
    }
    if (this.#mark.next(frame.length)) running.publisher.sendHighWaterMark = this.#mark.mark
    running.publisher.send(frame).then(undefined, ignore)
    if (seq !== undefined) topic.seq = seq
    this.#published++
  }

  #topicOf(name: string): Topic {
    const known = this.#topics.get(name)
    if (known !== undefined) return known
    checkTopic(name)
    const head = frameHead(this.instanceId, this.#projectId, name)
    const full = this.#topics.size >= MAX_NUMBERED_TOPICS
    const topic: Topic = { head, seq: full ? -1 : 0 }
    if (!full) this.#topics.set(name, topic)
    return topic
  }

  readonly #turnOver = (): void => {
    this.#inTurn = 0
    this.#turn = undefined
  }

  #bound(side: 'pub' | 'rpc'): string {
    const binding = this.#running?.[side]
    if (binding === undefined) throw new ConclaveError('CLOSED', 'The bus is not started: await start().')
    return binding.endpoint
  }

  #checkLock(): void {
    const { lock } = this.#options
    if (lock !== undefined && !lock.stillOurs()) throw lockLost(lock.path)
  }

  #watchLock(): void {
    try {
      this.#checkLock()
    } catch (error) {
      told(this.#options.onNotice, { type: 'lock-lost', error: asError(error) })
      this.#closing ??= this.#end(error as ConclaveError)
    }
  }

  async #end(why: ConclaveError | undefined): Promise<void> {
    // What follows must not run before `#closing` is set, nor while the sockets are being bound.
    await this.#started?.catch(() => {})
    const running = this.#running
    if (running === undefined) {
      this.#state = 'closed'
      this.#ended.resolve(why)
      return
    }
    clearInterval(running.heartbeat)
    clearInterval(running.lockCheck)
    running.pub.hide()
    running.rpc.hide()
    await running.answering.drain(why === undefined ? this.#limits.drainMs : 0)
    if (why === undefined) this.#send(running, SHUTDOWN, { instance_id: this.instanceId }, undefined)
    this.#state = 'closed'
    closeSockets(running)
    this.#ended.resolve(why)
  }
}

function loopback(port: number): string {
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return `tcp://127.0.0.1:${port === 0 ? '*' : port}`
  throw new ConclaveError('INVALID_OPTION', `${port} is no port: ports are whole numbers from 0 (any) to 65535.`)
}

function lockLost(path: string): ConclaveError {
  return new ConclaveError('LOCK_LOST', `The lock ${path} is not ours any more: somebody else may be primary.`, {
    data: { path },
  })
}

/** A PUB socket takes everything; what it can't is dropped by it. */
function ignore(): void {}
