import { Buffer, isUtf8 } from 'node:buffer'
import type { Context, Router } from 'zeromq'
import { MAX_TIMER_MS } from '../../election/limits.ts'
import { ConclaveError } from '../../errors/index.ts'
import type { Zeromq } from '../zmq-library.ts'
import { judge, type ConnectorState, type Verdict } from './admission.ts'
import { bytesOf, commandOf } from './commands.ts'
import type { Counters } from './counters.ts'
import { isName } from './keys.ts'
import type { RouterOptions } from './options.ts'
import { Outbox } from './outbox.ts'
import type { Peer } from './peer.ts'
import { receiveAll } from './receive.ts'
import type { Switchboard } from './switchboard.ts'

export interface BinderOptions {
  readonly library: Zeromq
  readonly context: Context
  readonly socketOptions: RouterOptions
  readonly board: Switchboard
  readonly serveMs: number
  readonly maxPeers: number
  /** Where our own connection to that name stands. */
  readonly connector: (name: string) => ConnectorState | undefined
  /** It connects to us from now on, and not we to it. */
  readonly yield: (name: string) => void
}

const COUNTED: Readonly<Record<Exclude<Verdict, 'stay'>, keyof Counters>> = {
  network: 'refusedNetworks',
  'own-name': 'refusedNames',
  crossed: 'crossed',
  full: 'refusedNames',
}

const NOTHING: Buffer = Buffer.alloc(0)

/** The peer left before it was answered. */
const unsent = (): void => {}

/** The bound socket, and those it admitted. */
export class Binder {
  readonly #options: BinderOptions
  readonly #socket: Router
  readonly #outbox: Outbox
  readonly #network: Buffer
  readonly #served = new Map<string, Peer>()
  #timer: NodeJS.Timeout | undefined

  constructor(options: BinderOptions) {
    const { library, context, socketOptions, board } = options
    this.#options = options
    this.#network = Buffer.from(board.network)
    this.#socket = new library.Router({ ...socketOptions, context })
    this.#outbox = new Outbox(this.#socket)
    void receiveAll(this.#socket, (parts) => this.#take(parts), board)
  }

  /**
   * @returns the address with what the system filled in
   * @throws `SOCKET_IN_USE`, `INVALID_OPTION`
   */
  listen(address: string): string {
    try {
      // The asynchronous form would block the socket for the messages of other addresses meanwhile.
      this.#socket.bindSync(address)
    } catch (cause) {
      const { code, message } = cause as { readonly code?: unknown; readonly message: string }
      if (code === 'EADDRINUSE') {
        throw new ConclaveError('SOCKET_IN_USE', `Somebody listens at ${address} already: choose another address.`, {
          cause,
        })
      }
      throw new ConclaveError('INVALID_OPTION', `Cannot listen at ${address}: ${message}.`, { cause })
    }
    return this.#socket.lastEndpoint ?? address
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#served.clear()
    this.#outbox.close()
    this.#socket.close()
  }

  #take(parts: Buffer[]): void {
    const { board } = this.#options
    if (parts.length > 3) {
      board.counters.extraParts++
      return
    }
    const [id = NOTHING, name, data = NOTHING] = parts
    const command = commandOf(name)
    switch (command) {
      case 'JOIN':
        this.#join(id, data)
        return
      case 'TICK':
      case 'CALL':
      case 'CAST':
      case 'BACK': {
        const peer = this.#served.get(id.toString())
        if (peer === undefined) {
          board.counters.strangers++
          return
        }
        peer.heard(performance.now(), data.length)
        if (command === 'TICK') peer.send('TOCK', data, unsent)
        else board.message(peer, command, data)
        return
      }
      case 'STAY':
      case 'PART':
      case 'TOCK':
      case undefined:
        board.counters.unknownCommands++
    }
  }

  #join(id: Buffer, data: Buffer): void {
    const name = id.toString()
    const { board, connector, maxPeers, yield: yieldTo } = this.#options
    const before = this.#served.get(name)
    const verdict =
      !isUtf8(id) || !isName(name)
        ? 'own-name'
        : judge({
            name,
            own: board.own,
            networkFits: data.equals(this.#network),
            connector: connector(name),
            served: before !== undefined,
            full: this.#served.size >= maxPeers,
          })
    if (verdict !== 'stay') {
      board.counters[COUNTED[verdict]]++
      this.#outbox.send([id, bytesOf('PART'), ''], unsent)
      return
    }
    // Another process under the same name, or the same after a break: what was asked before goes unanswered.
    if (before !== undefined) board.peerDown(before)
    yieldTo(name)
    const peer = board.newPeer(name, false, this.#outbox)
    this.#served.set(name, peer)
    peer.send('STAY', '', unsent)
    board.peerUp(peer)
    this.#timer ??= this.#sweepIn(this.#options.serveMs)
  }

  #sweepIn(ms: number): NodeJS.Timeout {
    // A turn later: what came while this process was stopped is read before the clock counts.
    return setTimeout(() => setImmediate(() => this.#sweep()), Math.min(MAX_TIMER_MS, Math.max(1, Math.ceil(ms))))
  }

  #sweep(): void {
    this.#timer = undefined
    if (this.#socket.closed) return
    const { serveMs, board } = this.#options
    const now = performance.now()
    let next = Infinity
    for (const [name, peer] of this.#served) {
      const left = peer.heardAt + serveMs - now
      if (left > 0) next = Math.min(next, left)
      else {
        this.#served.delete(name)
        board.peerDown(peer)
      }
    }
    if (next !== Infinity) this.#timer = this.#sweepIn(next)
  }
}
