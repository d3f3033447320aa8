import { readFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { Bus, Client, type BusOptions, type ClientOptions, type Envelope } from 'conclave/zeromq'
import { PYTHON } from '../../support/python-zmq.ts'
import { defer, ROOT, runtimeDirectory, spawnProgram, temporaryDirectory, until, within } from '../../support/index.ts'
import type { Program, Scope } from '../../support/index.ts'

export const PROGRAMS: string = join(import.meta.dirname, 'programs')

/** A bus on ipc, in a runtime directory of the test's own. */
export async function startBus(t: Scope, options: BusOptions = {}): Promise<Bus> {
  runtimeDirectory(t)
  const bus = new Bus({ instanceId: 'primary-1', ...options })
  defer(t, () => bus.shutdown())
  await bus.start()
  return bus
}

/** On TCP, as existing programs have it. */
export async function startTcpBus(t: Scope, options: BusOptions = {}): Promise<Bus> {
  const bus = new Bus({ instanceId: 'primary-1', insecure: true, ...options })
  defer(t, () => bus.shutdown())
  await bus.start(0, 0)
  return bus
}

export function newClient(t: Scope, options: ClientOptions = {}): Client {
  const client = new Client(options)
  defer(t, () => client.close())
  return client
}

/** A directory for sockets whose names are short enough. */
export function socketIn(t: Scope, name: string): string {
  return `ipc://${temporaryDirectory(t)}/${name}`
}

/** `programs/peer.py`: pyzmq in one of its roles. */
export async function pythonPeer(t: Scope, ...args: readonly string[]): Promise<Program> {
  const program = spawnProgram(t, join(PROGRAMS, 'peer.py'), args, { node: PYTHON, sources: false })
  await program.ready()
  return program
}

export interface Frame {
  readonly flags: number
  readonly body: Buffer
}

export const GREETING: Buffer = Buffer.concat([
  Buffer.from('ff00000000000000007f0300', 'hex'),
  Buffer.from('NULL'.padEnd(52, '\0'), 'latin1'),
])

export function frameOf(body: string | Buffer, flags = 0): Buffer {
  const bytes = Buffer.from(body as string)
  if (bytes.length < 256) return Buffer.concat([Buffer.from([flags, bytes.length]), bytes])
  const head = Buffer.alloc(9)
  head[0] = flags | 2
  head.writeBigUInt64BE(BigInt(bytes.length), 1)
  return Buffer.concat([head, bytes])
}

export function readyOf(type: string, identity = ''): Buffer {
  const property = (name: string, value: string): Buffer => {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(value.length)
    return Buffer.concat([Buffer.from([name.length]), Buffer.from(name), length, Buffer.from(value)])
  }
  const body = [Buffer.from('\x05READY'), property('Socket-Type', type), property('Identity', identity)]
  return frameOf(Buffer.concat(body), 4)
}

/** One side of a ZMTP connection, byte by byte. */
export class RawPeer {
  readonly socket: Socket
  closed = false
  #bytes = Buffer.alloc(0)
  #paused = false

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => (this.#bytes = Buffer.concat([this.#bytes, chunk])))
    socket.on('close', () => (this.closed = true))
    socket.on('error', () => {})
  }

  write(...parts: readonly Buffer[]): void {
    this.socket.write(Buffer.concat(parts))
  }

  /** Reads nothing from now on, as a process that hangs. */
  stop(): void {
    this.#paused = true
    this.socket.pause()
  }

  get stopped(): boolean {
    return this.#paused
  }

  async greeting(): Promise<Buffer> {
    await until(() => this.#bytes.length >= 64 || this.closed, 'a greeting')
    const bytes = this.#bytes.subarray(0, 64)
    this.#bytes = this.#bytes.subarray(64)
    return bytes
  }

  async frame(): Promise<Frame> {
    const found = await until(() => this.#frame() ?? (this.closed ? 'closed' : undefined), 'a frame')
    if (found === 'closed') throw new Error('The connection was closed where a frame was due')
    return found
  }

  /** The next message's parts. */
  async message(): Promise<string[]> {
    const parts: string[] = []
    for (;;) {
      const { flags, body } = await this.frame()
      parts.push(body.toString())
      if ((flags & 1) === 0) return parts
    }
  }

  #frame(): Frame | undefined {
    const [flags = 0, short = 0] = this.#bytes
    const long = (flags & 2) !== 0
    if (this.#bytes.length < (long ? 9 : 2)) return undefined
    const head = long ? 9 : 2
    const length = long ? Number(this.#bytes.readBigUInt64BE(1)) : short
    if (this.#bytes.length < head + length) return undefined
    const body = this.#bytes.subarray(head, head + length)
    this.#bytes = this.#bytes.subarray(head + length)
    return { flags, body }
  }
}

function target(endpoint: string): { path: string } | { host: string; port: number } {
  if (endpoint.startsWith('ipc://')) return { path: endpoint.slice('ipc://'.length) }
  const { hostname, port } = new URL(endpoint)
  return { host: hostname, port: Number(port) }
}

/** Connects, and says nothing. */
export async function dialRaw(t: Scope, endpoint: string): Promise<RawPeer> {
  const socket = connect(target(endpoint))
  defer(t, () => socket.destroy())
  const open = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
  })
  await within(open, `a connection to ${endpoint}`)
  return new RawPeer(socket)
}

/** Connects and shakes hands as a socket of this type. */
export async function dialZmtp(t: Scope, endpoint: string, type: string, identity = ''): Promise<RawPeer> {
  const peer = await dialRaw(t, endpoint)
  peer.write(GREETING, readyOf(type, identity))
  await peer.greeting()
  await peer.frame()
  return peer
}

/** Listens on a port of 127.0.0.1 as a program that speaks ZMTP by hand. */
export async function rawServer(
  t: Scope,
  onPeer: (peer: RawPeer) => unknown,
): Promise<{ readonly endpoint: string; readonly server: Server; readonly peers: readonly RawPeer[] }> {
  const peers: RawPeer[] = []
  const server = createServer((socket) => {
    const peer = new RawPeer(socket)
    peers.push(peer)
    void onPeer(peer)
  })
  defer(t, () => {
    for (const { socket } of peers) socket.destroy()
    server.close()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  return { endpoint: `tcp://127.0.0.1:${port}`, server, peers }
}

export interface RecordedFrame {
  readonly hex: string
  readonly flags: number
  readonly command: boolean
  readonly command_name?: string
  readonly metadata?: Readonly<Record<string, string>>
  readonly envelope_text?: string
  readonly text?: string
  readonly subscribe?: string
}

export interface RecordedStream {
  readonly direction: 'binder->connector' | 'connector->binder'
  readonly stream_hex: string
  readonly frames: readonly RecordedFrame[]
}

export interface RecordedCase {
  readonly name: string
  readonly description: string
  readonly client_saw: readonly { readonly envelope?: Envelope; readonly [more: string]: unknown }[]
  readonly streams: readonly RecordedStream[]
}

export function vector<T>(name: string): T {
  return JSON.parse(readFileSync(join(ROOT, 'test', 'vectors', `${name}.json`), 'utf8')) as T
}

export const RECORDED: readonly RecordedCase[] = vector<{ cases: readonly RecordedCase[] }>('pando-zmtp').cases

export function streamOf(recorded: RecordedCase, direction: RecordedStream['direction']): RecordedStream {
  const found = recorded.streams.find((stream) => stream.direction === direction)
  if (found === undefined) throw new Error(`${recorded.name} has no ${direction}`)
  return found
}

/** The text of the last frame of each message. */
export function textsOf({ frames }: RecordedStream): string[] {
  return frames.filter(({ command, flags }) => !command && (flags & 1) === 0).map(({ hex }) => bytesOf(hex).toString())
}

export function bytesOf(hex: string): Buffer {
  return Buffer.from(hex, 'hex')
}
