import { Buffer } from 'node:buffer'
import type { Context, Reply } from 'zeromq'
import type { Zeromq } from '../zmq-library.ts'

const Z85 = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#'

/** ZeroMQ RFC 32: five characters are four bytes. */
function bytesOfKey(text: string): Buffer {
  const bytes = Buffer.alloc((text.length / 5) * 4)
  for (let at = 0; at < text.length; at += 5) {
    let value = 0
    for (const sign of text.slice(at, at + 5)) value = value * 85 + Z85.indexOf(sign)
    bytes.writeUInt32BE(value % 2 ** 32, (at / 5) * 4)
  }
  return bytes
}

/** Answers the questions of one context's sockets who may connect (ZeroMQ RFC 27). */
export class Gatekeeper {
  readonly #socket: Reply
  #refused = 0

  private constructor(socket: Reply) {
    this.#socket = socket
  }

  /** Before the sockets are bound. */
  static async start(library: Zeromq, context: Context, clients: readonly string[]): Promise<Gatekeeper> {
    const socket = new library.Reply({ context, linger: 0 })
    await socket.bind('inproc://zeromq.zap.01')
    const keeper = new Gatekeeper(socket)
    void keeper.#run(new Set(clients.map((key) => bytesOfKey(key).toString('hex'))))
    return keeper
  }

  /** Connections of unknown keys. */
  get refused(): number {
    return this.#refused
  }

  close(): void {
    this.#socket.close()
  }

  async #run(allowed: ReadonlySet<string>): Promise<void> {
    for await (const [version = null, id = null, , , , mechanism, key] of this.#socket) {
      const known = mechanism?.toString() === 'CURVE' && key !== undefined && allowed.has(key.toString('hex'))
      if (!known) this.#refused++
      await this.#socket.send([version, id, known ? '200' : '400', known ? 'OK' : 'Unknown key', '', ''])
    }
  }
}
