import type { Context, Reply } from 'zeromq'
import { z85 } from '../shared/z85.ts'
import type { Zeromq } from '../zmq-library.ts'

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
    void keeper.#run(new Set(clients))
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
      // The bus may have ended since the question was read.
      if (this.#socket.closed) return
      const known = mechanism?.toString() === 'CURVE' && key?.length === 32 && allowed.has(z85(key))
      if (!known) this.#refused++
      await this.#socket.send([version, id, known ? '200' : '400', known ? 'OK' : 'Unknown key', '', ''])
    }
  }
}
