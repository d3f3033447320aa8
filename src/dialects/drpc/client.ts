import { resolve } from 'node:path'
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises'
import type { DescMessage } from '@bufbuild/protobuf'
import { ConclaveError } from '../../errors/index.ts'
import { posixPlatform, type Platform } from '../../platform/index.ts'
import { DeadlineWheel } from '../../rpc/timers.ts'
import {
  packetTransport,
  type PacketConnection,
  type PacketTransport,
  type PeerCredentials,
} from '../../transport/index.ts'
import { readConnectionOptions, type ConnectionOptions, type ConnectionSettings } from './client-options.ts'
import { statusError, textOf } from './failure.ts'
import { PACKET_BYTES, RETRY_MAX_MS, RETRY_MIN_MS } from './limits.ts'
import { Link } from './link.ts'
import { decodeBody, encodeBody } from './marshal.ts'
import { MessageCodec, type Response } from './messages.ts'
import { atLeast } from './options.ts'
import { aborted, PendingCall, type Request } from './pending.ts'
import { loadProtobuf, type Protobuf } from './protobuf.ts'
import { Status, statusName } from './status.ts'
import type { Decoded, Encodable, Method, Schema } from './types.ts'

export interface CallOptions {
  /** Instead of the connection's. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

/** `closing`: takes no more calls, finishes those it has. Whether it is connected is another matter. */
type Phase = 'open' | 'closing' | 'closed'

/** What was made on the first `connect`, and is kept for the next ones. */
interface Means {
  readonly platform: Platform
  readonly transport: PacketTransport
  readonly protobuf: Protobuf
  readonly codec: MessageCodec
  readonly wheel: DeadlineWheel
  readonly packet: Uint8Array
}

const EMPTY = new Uint8Array(0)

/** The client's end of a dRPC socket. */
export class ClientConnection implements AsyncDisposable {
  readonly socketPath: string
  readonly #settings: ConnectionSettings
  readonly #options: ConnectionOptions
  #phase: Phase = 'open'
  #means: Means | undefined
  #link: Link | undefined
  #connecting: Promise<void> | undefined
  /** Calls that wait for their turn. */
  #waiting: PendingCall[] = []
  #waitingBytes = 0
  #closing: Promise<void> | undefined
  #onQuiet: (() => void) | undefined

  /** @throws `INVALID_OPTION` */
  constructor(socketPath: string, options: ConnectionOptions = {}) {
    this.socketPath = resolve(socketPath)
    this.#options = options
    this.#settings = readConnectionOptions(options)
  }

  /** True only while the server is there, as the kernel sees it at this moment. */
  get isConnected(): boolean {
    return this.#link?.isUp === true
  }

  /** Calls that wait for their turn or their answer. */
  get pendingCalls(): number {
    return this.#waiting.length + (this.#link?.underWay.size ?? 0)
  }

  /**
   * Resolves when it is connected; does nothing when it is. Sequences begin at 1 again.
   * @throws `DISCONNECTED` with `data.errno` when nobody is there (`ENOENT`, `ECONNREFUSED`), or has no room in time
   * (`EAGAIN`); `FORBIDDEN` for a socket that is not open to us or a server that is not trusted; `PATH_TOO_LONG`;
   * `UNSUPPORTED`; `CLOSED`
   */
  async connect(): Promise<void> {
    if (this.#phase !== 'open') throw this.#over()
    // It may be lost, and we have not heard yet: what the server said before is read first.
    while (this.#link?.isUp === false) await turn()
    await this.#connecting
    // That may have been an attempt for calls that nobody waits for any more.
    if (this.#link === undefined) await this.#begin(() => this.#connect())
  }

  /**
   * Sends a call and resolves with its answer, whatever the status. Calls wait for their turn (`maxCallsInFlight`).
   * The body is not copied: leave it as it is until the call has ended.
   * @throws `TIMEOUT`, `ABORTED`, `DISCONNECTED`, with `outcome`; `OVERLOADED`, `TOO_LARGE`: nothing was sent; `CLOSED`
   */
  sendMsg(
    call: { readonly module: number; readonly method: number; readonly body?: Uint8Array },
    { timeoutMs = this.#settings.timeoutMs, signal }: CallOptions = {},
  ): Promise<Response> {
    try {
      return this.#submit({ module: call.module, method: call.method, body: call.body ?? EMPTY }, timeoutMs, signal)
    } catch (error) {
      return Promise.reject(error as Error)
    }
  }

  /**
   * Calls a method by its definition. Its result is decoded.
   * @throws what `sendMsg` does; for any status but SUCCESS `FAILED`, `METHOD_NOT_FOUND`, `INVALID_PARAMS`,
   * `INVALID_RESULT` or `PROTOCOL`, with its name in `reason` and its number in `data.status`; `INVALID_PARAMS` for a
   * request that can't be encoded, `INVALID_RESULT` for an answer that can't be decoded, both without a status
   */
  async call<Req extends Schema, Res extends Schema>(
    method: Method<Req, Res>,
    request: Encodable<Req>,
    options?: CallOptions,
  ): Promise<Decoded<Res>> {
    const { protobuf } = this.#means ?? (await this.#makeMeans())
    const body = encodeRequest(protobuf, method, request)
    const response = await this.sendMsg({ module: method.module, method: method.id, body }, options)
    if (response.status !== Status.SUCCESS) {
      const text = `${method.name} (module ${method.module}, method ${method.id}) ended with ${statusName(response.status)}`
      throw statusError(response.status, `${text}: ${textOf(response.status)}`)
    }
    return decodeAnswer(protobuf, method, response.body) as Decoded<Res>
  }

  /** Takes no more calls, waits for those there are, then closes. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  /** Now: calls under way fail with `ABORTED`. */
  abort(reason?: unknown): void {
    const error = (outcome: 'unknown' | 'not-committed'): ConclaveError =>
      new ConclaveError('ABORTED', 'The connection was aborted.', { cause: reason, outcome })
    this.#end(error)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #submit(request: Request, timeoutMs: number, signal: AbortSignal | undefined): Promise<Response> {
    atLeast(1, 'timeoutMs', timeoutMs)
    if (signal?.aborted === true) throw aborted(signal, 'not-committed')
    if (this.#phase !== 'open') throw this.#over()
    const { maxMessageBytes, maxPendingBytes, maxPendingCalls } = this.#settings
    if (!(request.body instanceof Uint8Array)) {
      throw new ConclaveError('INVALID_OPTION', 'The body of a call must be bytes, a Uint8Array.')
    }
    if (request.body.length > maxMessageBytes) {
      const text = `A body of ${request.body.length} bytes is too long: at most ${maxMessageBytes} (maxMessageBytes).`
      throw new ConclaveError('TOO_LARGE', text)
    }
    const means = this.#means
    if (
      means === undefined ||
      (this.#link === undefined && !this.#settings.reconnect && this.#connecting === undefined)
    ) {
      throw new ConclaveError('DISCONNECTED', `${this.socketPath} is not connected: call connect() first.`, {
        outcome: 'not-committed',
      })
    }
    if (this.pendingCalls >= maxPendingCalls) {
      throw new ConclaveError('OVERLOADED', `${maxPendingCalls} calls are pending (maxPendingCalls): wait for some.`)
    }
    const direct = this.#waiting.length === 0 && this.#mayBeSent(this.#link)
    if (!direct && this.#waitingBytes + request.body.length > maxPendingBytes) {
      throw new ConclaveError(
        'OVERLOADED',
        `Calls of ${this.#waitingBytes} bytes wait (maxPendingBytes): wait for some.`,
      )
    }
    const call = new PendingCall(request, signal, this.#leave)
    means.wheel.add(means.wheel.now() + timeoutMs, call)
    if (direct) this.#send(this.#link as Link, call)
    else this.#queue(call)
    return call.answer
  }

  #queue(call: PendingCall): void {
    this.#waiting.push(call)
    this.#waitingBytes += call.bytes
    if (this.#link === undefined) void this.#reconnect()
  }

  #mayBeSent(link: Link | undefined): boolean {
    return link !== undefined && link.underWay.size < this.#settings.maxCallsInFlight && link.idle
  }

  #send(link: Link, call: PendingCall): void {
    try {
      if (link.send(call)) return
      // It waits for the next connection, or for the end of this one.
      this.#waiting.unshift(call)
      this.#waitingBytes += call.bytes
    } catch (error) {
      this.#means?.wheel.remove(call)
      call.fail(error as ConclaveError)
    }
  }

  #pump(): void {
    const link = this.#link
    while (link !== undefined && this.#waiting.length > 0 && this.#mayBeSent(link)) {
      const call = this.#waiting.shift() as PendingCall
      this.#waitingBytes -= call.bytes
      this.#send(link, call)
    }
    this.#tellQuiet()
  }

  /** A call ended by itself. */
  readonly #leave = (call: PendingCall): void => {
    this.#means?.wheel.remove(call)
    if (call.sent) {
      this.#link?.giveUp(call)
    } else {
      const at = this.#waiting.indexOf(call)
      if (at >= 0) {
        this.#waiting.splice(at, 1)
        this.#waitingBytes -= call.bytes
      }
    }
    // Later: one signal may end many, and none of them must be sent only to be ended next.
    queueMicrotask(() => this.#pump())
  }

  async #makeMeans(): Promise<Means> {
    if (this.#means !== undefined) return this.#means
    const platform = this.#options.platform ?? posixPlatform()
    const transport = this.#options.transport ?? packetTransport(platform)
    const protobuf = await loadProtobuf()
    return (this.#means ??= {
      platform,
      transport,
      protobuf,
      codec: new MessageCodec(protobuf),
      wheel: new DeadlineWheel({ now: () => platform.now() }),
      packet: new Uint8Array(PACKET_BYTES),
    })
  }

  /** One attempt at a time. */
  #begin(attempt: () => Promise<void>): Promise<void> {
    return (this.#connecting ??= this.#attempt(attempt))
  }

  async #attempt(attempt: () => Promise<void>): Promise<void> {
    try {
      await attempt()
    } catch (error) {
      // Before the calls hear of it: who then calls again must not wait for this attempt.
      this.#connecting = undefined
      if (!this.#settings.reconnect) this.#failWaiting(error as ConclaveError)
      throw error
    } finally {
      this.#connecting = undefined
      // They came too late for this attempt, or it was none of theirs.
      if (this.#link === undefined && this.#waiting.length > 0) void this.#reconnect()
      this.#tellQuiet()
    }
  }

  #tellQuiet(): void {
    if (this.pendingCalls === 0) this.#onQuiet?.()
  }

  async #connect(): Promise<void> {
    const means = await this.#makeMeans()
    const connection = await this.#dial(means)
    if (this.#phase === 'closed') {
      connection.close()
      throw this.#over()
    }
    this.#link = this.#makeLink(connection, means)
    this.#pump()
  }

  /** A listener whose queue is full says so at once (rule F6): try until there is room, or no time left. */
  async #dial({ transport, platform }: Means): Promise<PacketConnection> {
    const trusts = this.#settings.trusts ?? (({ uid }) => uid === 0 || platform.isOurUid(uid))
    const admits = (server: PeerCredentials): true => {
      if (trusts(server)) return true
      throw notTrusted(this.socketPath, server)
    }
    const end = platform.now() + this.#settings.connectTimeoutMs
    for (let pause = RETRY_MIN_MS; ; pause = Math.min(2 * pause, RETRY_MAX_MS)) {
      try {
        return transport.connect(this.socketPath, { admits })
      } catch (error) {
        const left = end - platform.now()
        const full = ConclaveError.is(error, 'DISCONNECTED') && (error.data as { errno?: string }).errno === 'EAGAIN'
        if (!full || left <= 0 || this.#phase === 'closed') throw error
        await sleep(Math.min(pause, left))
      }
    }
  }

  #makeLink(connection: PacketConnection, { codec, packet, wheel }: Means): Link {
    return new Link(connection, {
      codec,
      packet,
      maxMessageBytes: this.#settings.maxMessageBytes,
      onAnswered: (call, response) => {
        wheel.remove(call)
        call.succeed(response)
        if (this.#waiting.length > 0 || this.#onQuiet !== undefined) this.#pump()
      },
      onDrain: () => this.#pump(),
      onLost: (error) => this.#lost(error),
    })
  }

  /** What was sent has an unknown fate; what waits goes on with the next connection, when there is to be one. */
  #lost(error: ConclaveError): void {
    const link = this.#link
    if (link === undefined) return
    this.#link = undefined
    link.close()
    for (const call of link.underWay.values()) this.#fail(call, error)
    if (!this.#settings.reconnect) this.#failWaiting(error)
    else if (this.#waiting.length > 0) void this.#reconnect()
    this.#tellQuiet()
  }

  #fail(call: PendingCall, { code, message, cause, data }: ConclaveError): void {
    this.#means?.wheel.remove(call)
    call.fail(new ConclaveError(code, message, { cause, data, outcome: call.outcome }))
  }

  #failWaiting(error: ConclaveError): void {
    const waiting = this.#waiting
    this.#waiting = []
    this.#waitingBytes = 0
    for (const call of waiting) this.#fail(call, error)
  }

  /** Tries until it is connected or nobody waits: every call that waits has its deadline. */
  #reconnect(): Promise<void> {
    return this.#begin(() => this.#tryAgain())
  }

  async #tryAgain(): Promise<void> {
    for (let pause = RETRY_MIN_MS; this.#waiting.length > 0; pause = Math.min(2 * pause, RETRY_MAX_MS)) {
      try {
        await this.#connect()
        return
      } catch (error) {
        if (!ConclaveError.is(error, 'DISCONNECTED')) this.#failWaiting(error as ConclaveError)
        else await sleep(pause)
      }
    }
  }

  async #close(): Promise<void> {
    if (this.#phase === 'closed') return
    this.#phase = 'closing'
    await this.#connecting?.catch(() => {})
    if (this.pendingCalls > 0) await new Promise<void>((resolved) => (this.#onQuiet = resolved))
    this.#end((outcome) => new ConclaveError('CLOSED', 'The connection was closed.', { outcome }))
  }

  #end(error: (outcome: 'unknown' | 'not-committed') => ConclaveError): void {
    this.#phase = 'closed'
    const link = this.#link
    this.#link = undefined
    link?.close()
    for (const call of link?.underWay.values() ?? []) this.#fail(call, error('unknown'))
    this.#failWaiting(error('not-committed'))
    this.#means?.wheel.close()
    this.#onQuiet?.()
  }

  #over(): ConclaveError {
    return new ConclaveError('CLOSED', `The connection to ${this.socketPath} was closed: make a new one.`)
  }
}

function notTrusted(path: string, { uid, pid }: PeerCredentials): ConclaveError {
  const text = `The server at ${path} runs as uid ${uid} (pid ${pid}) and is not trusted: allow it by the option \`trusts\`.`
  return new ConclaveError('FORBIDDEN', text, { data: { path, uid, pid } })
}

function decodeAnswer(protobuf: Protobuf, { name, response: schema }: Method, body: Uint8Array): unknown {
  const described: DescMessage | undefined = schema
  if (described === undefined) return body
  try {
    return decodeBody(protobuf, described, body)
  } catch (cause) {
    throw new ConclaveError('INVALID_RESULT', `The answer of ${name} does not fit its schema.`, { cause })
  }
}

function encodeRequest(protobuf: Protobuf, { name, request: schema }: Method, request: unknown): Uint8Array {
  const described: DescMessage | undefined = schema
  if (described === undefined) {
    if (request === undefined || request instanceof Uint8Array) return request ?? EMPTY
    throw new ConclaveError('INVALID_PARAMS', `${name} has no schema for its request: give the bytes, a Uint8Array.`)
  }
  try {
    return encodeBody(protobuf, described, (request ?? {}) as Record<string, unknown>)
  } catch (cause) {
    throw new ConclaveError('INVALID_PARAMS', `The request of ${name} does not fit its schema.`, { cause })
  }
}
