import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import {
  ClientConnection,
  defineMethod,
  defineModule,
  DomainSocketServer,
  newFailure,
  Status,
  type ConnectionOptions,
  type Module,
  type ServerOptions,
} from '../../../src/dialects/drpc/index.ts'
import { MessageCodec, type Call } from '../../../src/dialects/drpc/messages.ts'
import { packetsOf } from '../../../src/dialects/drpc/chunks.ts'
import { loadProtobuf } from '../../../src/dialects/drpc/protobuf.ts'
import { defer, execute, haveProgram, temporaryDirectory } from '../../support/index.ts'
import { needsCompiler, start, type Program } from '../../platform/support.ts'

export { needsCompiler, needsLinux } from '../../platform/support.ts'
export const needsPython: string | false =
  haveProgram('python3') && spawnSync('python3', ['-c', 'import socket; socket.SOCK_SEQPACKET']).status === 0
    ? false
    : 'needs python3 with SOCK_SEQPACKET'

export const codec: MessageCodec = new MessageCodec(await loadProtobuf())

/** The module that the vectors were recorded with. */
export const MODULE = 42
export const METHOD = { echo: 1, fail: 2, unmarshal: 3, submitted: 5, unknown: 4, slow: 10, empty: 12 } as const

/** Lets the slow handlers of a test go on. */
export class Gate {
  #open: (() => void)[] = []
  entered = 0

  wait(signal?: AbortSignal): Promise<void> {
    this.entered++
    return new Promise((resolve, reject) => {
      this.#open.push(resolve)
      signal?.addEventListener('abort', () => reject(signal.reason as Error))
    })
  }

  open(count = Infinity): void {
    for (const go of this.#open.splice(0, count)) go()
  }
}

export function testModule(gate: Gate = new Gate()): Module {
  return defineModule({
    id: MODULE,
    name: 'test',
    methods: {
      echo: defineMethod({ id: METHOD.echo, handle: (body) => body }),
      fail: defineMethod({
        id: METHOD.fail,
        handle: () => {
          throw new Error('on purpose')
        },
      }),
      unmarshal: defineMethod({
        id: METHOD.unmarshal,
        handle: () => Promise.reject(newFailure(Status.FAILED_UNMARSHAL_PAYLOAD)),
      }),
      unknown: defineMethod({ id: METHOD.unknown, handle: () => Promise.reject(newFailure(Status.UNKNOWN_METHOD)) }),
      submitted: defineMethod({ id: METHOD.submitted, handle: () => Promise.reject(newFailure(Status.SUBMITTED)) }),
      slow: defineMethod({
        id: METHOD.slow,
        handle: async (body, { signal }) => {
          await gate.wait(signal)
          return body
        },
      }),
      empty: defineMethod({ id: METHOD.empty, handle: () => {} }),
    },
  })
}

export interface Serving {
  readonly server: DomainSocketServer
  readonly path: string
  readonly gate: Gate
  readonly errors: Error[]
}

/** A server with the test module at a path of its own. */
export async function serve(
  t: TestContext,
  options: Partial<ServerOptions> = {},
  ...modules: Module[]
): Promise<Serving> {
  const path = options.path ?? join(temporaryDirectory(t), 's')
  const errors: Error[] = []
  const gate = new Gate()
  const server = new DomainSocketServer({ onError: (error) => errors.push(error), ...options, path })
  server.registerModule(testModule(gate))
  for (const module of modules) server.registerModule(module)
  defer(t, () => server.shutdown({ drain: false }))
  await server.start()
  return { server, path, gate, errors }
}

export async function dial(t: TestContext, path: string, options: ConnectionOptions = {}): Promise<ClientConnection> {
  const client = new ClientConnection(path, options)
  defer(t, () => client.abort())
  await client.connect()
  return client
}

export function pattern(size: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length: size }, (_, at) => (at + seed) & 0xff)
}

/** The packets of a call, as hex. */
export function callPackets(call: Partial<Call>): string[] {
  const { head, body } = codec.encodeCall({
    module: MODULE,
    method: METHOD.echo,
    sequence: 1n,
    body: new Uint8Array(0),
    ...call,
  })
  return packetsOf(Buffer.concat([head, body])).map((packet) => Buffer.from(packet).toString('hex'))
}

type Heard = { readonly got: string } | { readonly end: string }

/** programs/raw_peer.py: a Python program that sends whatever it is told. */
export class RawPeer {
  readonly #program: Program

  private constructor(program: Program) {
    this.#program = program
  }

  static async start(t: TestContext, role: 'client' | 'server', path: string): Promise<RawPeer> {
    const program = start(t, 'python3', [join(import.meta.dirname, 'programs', 'raw_peer.py'), role, path])
    const peer = new RawPeer(program)
    assert.equal((JSON.parse(await program.line()) as { ready: boolean }).ready, true)
    return peer
  }

  async #ask(command: object): Promise<Record<string, unknown>> {
    this.#program.child.stdin?.write(`${JSON.stringify(command)}\n`)
    return JSON.parse(await this.#program.line()) as Record<string, unknown>
  }

  /** @returns what went wrong */
  async send(...packets: string[]): Promise<string | undefined> {
    for (const packet of packets) {
      const { end } = await this.#ask({ send: packet })
      if (end !== undefined) return end as string
    }
    return undefined
  }

  /** The next packet in hex, or `EOF`, or the name of an errno. */
  async receive(): Promise<string> {
    const heard = (await this.#ask({ recv: true })) as Heard
    return 'got' in heard ? heard.got : heard.end
  }

  accept(): Promise<unknown> {
    return this.#ask({ accept: true })
  }

  shutdown(): Promise<unknown> {
    return this.#ask({ shutdown: true })
  }

  close(): Promise<unknown> {
    return this.#ask({ close: true })
  }

  async flood(packet: string, most: number): Promise<number> {
    return (await this.#ask({ flood: packet, most }))['sent'] as number
  }

  kill(): void {
    this.#program.child.kill('SIGKILL')
  }

  /** An echo call, answered: the server lives, and this connection too. */
  async works(sequence = 77n): Promise<void> {
    assert.equal(await this.send(...callPackets({ sequence, body: pattern(3) })), undefined)
    const answer = codec.decodeResponse(Buffer.from(await this.receive(), 'hex').subarray(24))
    assert.deepEqual({ ...answer, body: [...answer.body] }, { sequence, status: 0, body: [0, 1, 2] })
  }
}

/** The server still answers somebody new. */
export async function stillServes(t: TestContext, path: string): Promise<void> {
  const client = await dial(t, path)
  const { status, body } = await client.sendMsg({ module: MODULE, method: METHOD.echo, body: pattern(5) })
  assert.equal(status, Status.SUCCESS)
  assert.deepEqual([...body], [...pattern(5)])
  await client.close()
}

/** programs/peer.c, compiled. */
export async function compiledPeer(t: TestContext): Promise<string> {
  assert.equal(needsCompiler, false)
  const output = join(temporaryDirectory(t), 'peer')
  const source = join(import.meta.dirname, 'programs', 'peer.c')
  const { code, stderr } = await execute(t, 'cc', ['-O1', '-Wall', '-Wextra', '-o', output, source])
  assert.equal(code, 0, stderr)
  return output
}
