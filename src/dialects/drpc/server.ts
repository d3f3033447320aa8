import { resolve } from 'node:path'
import { asError, ConclaveError } from '../../errors/index.ts'
import { posixPlatform, type Platform } from '../../platform/index.ts'
import { DeadlineWheel } from '../../rpc/timers.ts'
import { packetTransport, type PacketConnection, type PacketTransport } from '../../transport/index.ts'
import { Dispatcher } from './dispatcher.ts'
import { BACKLOG, DRAIN_TIMEOUT_MS, PACKET_BYTES } from './limits.ts'
import { MessageCodec } from './messages.ts'
import { readOptions, type ServerOptions, type ServerSettings } from './options.ts'
import { takePlace, type Place } from './place.ts'
import { loadProtobuf, type Protobuf } from './protobuf.ts'
import { ServerSession, type SessionHost } from './session.ts'
import type { Module, Session } from './types.ts'

export interface ShutdownOptions {
  /** Calls that were received are answered first. Default true; false aborts them. */
  readonly drain?: boolean
  /** The most that may take; what is left then is aborted. Default 5 s. */
  readonly timeoutMs?: number
}

type State = 'new' | 'starting' | 'listening' | 'closing' | 'closed'

/** Offers modules at a Unix socket of packets. */
export class DomainSocketServer implements AsyncDisposable {
  readonly path: string
  readonly #settings: ServerSettings
  readonly #dispatcher: Dispatcher
  readonly #sessions = new Set<ServerSession>()
  #state: State = 'new'
  #place: Place | undefined
  #wheel: DeadlineWheel | undefined
  #sessionCount = 0
  #heldBytes = 0
  #refused = 0
  #starting: Promise<void> | undefined
  #closing: Promise<void> | undefined
  #onEmpty: (() => void) | undefined

  constructor(options: ServerOptions) {
    this.#settings = readOptions(options)
    this.path = resolve(this.#settings.path)
    this.#dispatcher = new Dispatcher((error, { session }) => this.#settings.onError(asError(error), session))
  }

  /** Connections right now. */
  get sessions(): ReadonlySet<Session> {
    return this.#sessions
  }

  /** Connections that were closed at once because there were `maxSessions`. */
  get refusedSessions(): number {
    return this.#refused
  }

  get isListening(): boolean {
    return this.#state === 'listening'
  }

  /** Before `start` or after. @throws `CONFLICT` for an id that is taken, `CLOSED` */
  registerModule(module: Module): void {
    if (this.#state === 'closing' || this.#state === 'closed') throw over()
    this.#dispatcher.register(module)
  }

  /**
   * Resolves when it listens.
   * @throws `SOCKET_IN_USE` while another server lives at the path; `CONFLICT` when it was started before; `CLOSED`;
   * `UNSUPPORTED` where there are no such sockets, or @bufbuild/protobuf is missing; `PATH_TOO_LONG`
   */
  async start(): Promise<void> {
    if (this.#state === 'closing' || this.#state === 'closed') throw over()
    if (this.#state !== 'new') throw new ConclaveError('CONFLICT', 'This server was started before.')
    this.#state = 'starting'
    this.#starting = this.#start()
    try {
      await this.#starting
    } catch (error) {
      // Worth another try: the path may be free then.
      if ((this.#state as State) === 'starting') this.#state = 'new'
      throw error
    }
  }

  /** Stops accepting, then ends the sessions; the path is free when it resolves. Idempotent. */
  shutdown({ drain = true, timeoutMs = DRAIN_TIMEOUT_MS }: ShutdownOptions = {}): Promise<void> {
    if (!drain) for (const session of this.#sessions) session.close()
    return (this.#closing ??= this.#shutdown(timeoutMs))
  }

  /** Drains. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown()
  }

  async #start(): Promise<void> {
    const { platform = posixPlatform(), transport = packetTransport(platform) } = this.#settings
    const protobuf = await loadProtobuf()
    if (this.#state !== 'starting') throw over()
    const host = this.#host(platform, protobuf)
    this.#place = this.#listen(platform, transport, host)
    this.#wheel = host.wheel
    this.#state = 'listening'
  }

  #listen(platform: Platform, transport: PacketTransport, host: SessionHost): Place {
    const { mode, admits, onError } = this.#settings
    return takePlace(platform, transport, this.path, {
      backlog: BACKLOG,
      mode,
      admits: admits ?? defaultAdmission(platform, mode),
      onError: (error) => onError(error, undefined),
      onConnection: (connection) => this.#accepted(connection, host),
    })
  }

  #host(platform: Platform, protobuf: Protobuf): SessionHost {
    return {
      codec: new MessageCodec(protobuf),
      wheel: new DeadlineWheel({ now: () => platform.now() }),
      packet: new Uint8Array(PACKET_BYTES),
      limits: this.#settings,
      dispatch: (call, context) => this.#dispatcher.dispatch(protobuf, call, context),
      hold: (bytes) => (this.#heldBytes += bytes) <= this.#settings.maxBufferedBytes,
      faulted: (session, error) => this.#settings.onError(error, session),
      ended: (session) => {
        this.#sessions.delete(session)
        if (this.#sessions.size === 0) this.#onEmpty?.()
      },
    }
  }

  #accepted(connection: PacketConnection, host: SessionHost): void {
    if (this.#sessions.size >= this.#settings.maxSessions) {
      this.#refused++
      connection.close()
      return
    }
    this.#sessions.add(new ServerSession(++this.#sessionCount, connection, host))
  }

  async #shutdown(timeoutMs: number): Promise<void> {
    this.#state = 'closing'
    // A start under way sees that it is over, or has listened just now.
    await this.#starting?.catch(() => {})
    this.#place?.listener.close()
    await this.#drain(timeoutMs)
    this.#wheel?.close()
    // Last, when nothing of this server is left: the next one may begin now.
    this.#place?.lock.close()
    this.#state = 'closed'
  }

  async #drain(timeoutMs: number): Promise<void> {
    for (const session of this.#sessions) session.drain()
    if (this.#sessions.size === 0) return
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolved) => {
      this.#onEmpty = resolved
      // A turn later: what came while this process was held up is read before the clock counts.
      timer = setTimeout(() => setImmediate(() => resolved()), timeoutMs)
    })
    clearTimeout(timer)
    for (const session of this.#sessions) session.close()
  }
}

/** When only the owner may open the file, only the owner and root are let in; else the mode has decided. */
function defaultAdmission(platform: Platform, mode: number): ({ uid }: { readonly uid: number }) => boolean {
  return (mode & 0o066) === 0 ? ({ uid }) => uid === 0 || platform.isOurUid(uid) : () => true
}

function over(): ConclaveError {
  return new ConclaveError('CLOSED', 'This server was shut down: make a new one.')
}
