import { readFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import type { Internals } from '../../../src/dialects/shared/uids.ts'
import { posixPlatform, type Platform } from '../../../src/platform/index.ts'
import { defer, ROOT, temporaryDirectory, until, within, type Scope } from '../../support/index.ts'

/** The other side of a socket, line by line: what an existing peer is to us. */
export class RawPeer {
  readonly lines: string[] = []
  ended = false
  closed = false
  readonly socket: Socket
  #rest = ''

  constructor(socket: Socket) {
    this.socket = socket
    socket.setEncoding('utf8')
    socket.on('data', (text: string) => {
      const parts = (this.#rest + text).split('\n')
      this.#rest = parts.pop() ?? ''
      this.lines.push(...parts)
    })
    socket.on('end', () => (this.ended = true))
    socket.on('close', () => (this.ended = this.closed = true))
    socket.on('error', () => {})
  }

  send(...lines: (string | object)[]): void {
    this.socket.write(lines.map((line) => `${typeof line === 'string' ? line : JSON.stringify(line)}\n`).join(''))
  }

  async next(what = 'a line'): Promise<string> {
    await until(() => this.lines.length > 0 || this.ended, what)
    const line = this.lines.shift()
    if (line === undefined) throw new Error(`The stream ended where ${what} was due`)
    return line
  }

  async json(what?: string): Promise<Record<string, unknown>> {
    return JSON.parse(await this.next(what)) as Record<string, unknown>
  }

  async end(what = 'the end of the stream'): Promise<void> {
    await until(() => this.ended, what, { seen: () => this.lines })
  }

  finish(): void {
    this.socket.end()
  }

  destroy(): void {
    this.socket.destroy()
  }
}

export async function rawClient(t: Scope, path: string): Promise<RawPeer> {
  const socket = connect({ path, allowHalfOpen: true })
  defer(t, () => socket.destroy())
  await within(
    new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', reject)
    }),
    `a connection to ${path}`,
  )
  return new RawPeer(socket)
}

export interface RawServer {
  readonly server: Server
  readonly peers: RawPeer[]
  /** The peer that connected as number `index`. */
  peer(index: number): Promise<RawPeer>
  close(): Promise<void>
}

/** Listens as an existing program does. */
export async function rawServer(t: Scope, path: string): Promise<RawServer> {
  const peers: RawPeer[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => peers.push(new RawPeer(socket)))
  const close = (): Promise<void> =>
    new Promise((resolve) => {
      for (const peer of peers) peer.destroy()
      server.close(() => resolve())
    })
  defer(t, close)
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return {
    server,
    peers,
    peer: async (index) => {
      await until(() => peers.length > index, `connection ${index}`)
      return peers[index] as RawPeer
    },
    close,
  }
}

export interface Entry {
  readonly connection: number
  readonly direction: 'client->server' | 'server->client'
  readonly line?: string
  readonly end_of_stream?: boolean
}

export interface Case {
  readonly name: string
  readonly system: string
  readonly transcript: readonly Entry[]
  readonly [more: string]: unknown
}

export function cases(system: string): readonly Case[] {
  const file = join(ROOT, 'test', 'vectors', 'ndjson-transcripts.json')
  const { cases: all } = JSON.parse(readFileSync(file, 'utf8')) as { readonly cases: readonly Case[] }
  return all.filter((one) => one.system === system)
}

export function socketIn(t: Scope): string {
  return join(temporaryDirectory(t), 'bus.sock')
}

/** A machine where this process's peers run as another user. */
export function strangersAround(): Internals {
  const platform = posixPlatform()
  const strange = new Proxy(platform, {
    get: (target, name): unknown => {
      if (name === 'uid') return target.uid + 1
      if (name === 'isOurUid') return (uid: number) => uid === target.uid + 1
      if (name === 'stat') {
        return (path: string) => {
          const stat = target.stat(path)
          return stat === undefined ? undefined : { ...stat, uid: stat.uid + 1 }
        }
      }
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
  return { platform: strange satisfies Platform }
}
