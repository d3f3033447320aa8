import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { defer, until, type Scope } from '../../support/index.ts'

/** The announced socket of a folder. */
export function endpointOf(folder: string): string {
  const { endpoint } = JSON.parse(readFileSync(join(folder, '.conclave', 'primary.json'), 'utf8')) as {
    endpoint: string
  }
  return endpoint.replace(/^unix:/, '')
}

export type Line = Readonly<Record<string, unknown>> & {
  readonly id?: unknown
  readonly result?: unknown
  readonly error?: { readonly code: number; readonly message: string; readonly data?: { readonly code?: string } }
  readonly params?: unknown
}

/** A raw peer: bytes out, lines in. */
export class RawPeer {
  readonly lines: Line[] = []
  readonly socket: Socket
  /** The other side said its end. */
  ended = false
  closed = false
  #text = ''

  constructor(t: Scope, path: string) {
    this.socket = connect({ path, allowHalfOpen: true })
    this.socket.setEncoding('utf8').on('data', (text: string) => {
      this.#text += text
      const lines = this.#text.split('\n')
      this.#text = lines.pop() ?? ''
      for (const line of lines) this.lines.push(JSON.parse(line) as Line)
    })
    this.socket.on('end', () => (this.ended = true))
    this.socket.on('close', () => (this.closed = true))
    this.socket.on('error', () => {})
    defer(t, () => this.socket.destroy())
  }

  write(bytes: string | Uint8Array): void {
    this.socket.write(bytes)
  }

  send(...messages: readonly unknown[]): void {
    this.write(messages.map((message) => `${JSON.stringify(message)}\n`).join(''))
  }

  request(id: unknown, method: string, params?: unknown): void {
    this.send({ jsonrpc: '2.0', id, method, params })
  }

  /** The first line that fits, taken out. */
  async next(fits: (line: Line) => boolean = () => true): Promise<Line> {
    const at = await until(() => this.lines.findIndex(fits) + 1, `a line that fits ${fits.toString()}`, {
      seen: () => this.lines,
    })
    return this.lines.splice(at - 1, 1)[0]!
  }

  async call(method: string, params?: unknown): Promise<Line> {
    const id = `${method} ${Math.random()}`
    this.request(id, method, params)
    return this.next((line) => line.id === id)
  }

  async end(): Promise<void> {
    this.socket.end()
    await until(() => this.ended, 'the other side to end')
  }
}
