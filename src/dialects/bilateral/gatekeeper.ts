import { Buffer } from 'node:buffer'
import type { Context, Dealer, Reply } from 'zeromq'
import { z85 } from '../shared/z85.ts'
import type { Zeromq } from '../zmq-library.ts'

/** Nothing can listen there: a connection to it fails at once. */
const NOWHERE = 'ipc:///dev/null/nowhere'

/**
 * Ties names to keys (weak point 8). It answers the questions of the bound socket who may connect (ZeroMQ RFC 27), and
 * gives each connection its key as its Identity, whatever name it claimed: metadata of the answer replaces that of the
 * peer, provided that the socket's thread has read the peer's before. `#passed` makes sure that it has.
 */
export class Gatekeeper {
  readonly #socket: Reply
  readonly #probe: Dealer
  readonly #admits: (key: string) => boolean
  #tried: (() => void) | undefined

  private constructor(socket: Reply, probe: Dealer, admits: (key: string) => boolean) {
    this.#socket = socket
    this.#probe = probe
    this.#admits = admits
    probe.events.on('connect:retry', () => this.#tried?.())
  }

  /**
   * Before sockets of the context are bound.
   * @param context of one I/O thread
   * @param admits may a client with this key connect?
   */
  static async start(library: Zeromq, context: Context, admits: (key: string) => boolean): Promise<Gatekeeper> {
    const socket = new library.Reply({ context, linger: 0 })
    await socket.bind('inproc://zeromq.zap.01')
    const probe = new library.Dealer({ context, linger: 0, reconnectInterval: 60_000 })
    const keeper = new Gatekeeper(socket, probe, admits)
    void keeper.#run()
    return keeper
  }

  close(): void {
    this.#socket.close()
    this.#probe.close()
    this.#tried?.()
  }

  async #run(): Promise<void> {
    for await (const [version = null, id = null, , , , mechanism, key] of this.#socket) {
      // The node may have ended since the question was read.
      if (this.#socket.closed) return
      const name = mechanism?.toString() === 'CURVE' && key?.length === 32 ? z85(key) : undefined
      if (name === undefined || !this.#admits(name)) {
        await this.#socket.send([version, id, '400', 'No access', '', ''])
        continue
      }
      await this.#passed()
      if (this.#socket.closed) return
      await this.#socket.send([version, id, '200', 'OK', name, property('Identity', name)])
    }
  }

  /**
   * The context's one I/O thread wrote the question and goes on to read the peer's metadata. It takes up nothing else
   * before it has: so when it has tried a connection for us, it has.
   */
  async #passed(): Promise<void> {
    const tried = new Promise<void>((resolve) => (this.#tried = resolve))
    this.#probe.connect(NOWHERE)
    await tried
    this.#tried = undefined
    if (!this.#probe.closed) this.#probe.disconnect(NOWHERE)
  }
}

/** ZMTP 3.1: a name of one length byte, a value of four. */
function property(name: string, value: string): Buffer {
  const bytes = Buffer.alloc(1 + name.length + 4 + value.length)
  bytes.writeUInt8(name.length)
  bytes.write(name, 1)
  bytes.writeUInt32BE(value.length, 1 + name.length)
  bytes.write(value, 5 + name.length)
  return bytes
}
