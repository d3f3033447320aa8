import { Buffer } from 'node:buffer'
import type { Context, Router } from 'zeromq'
import { MAX_TIMER_MS } from '../../election/limits.ts'
import type { Zeromq } from '../zmq-library.ts'
import { redial } from '../zmq-redial.ts'
import { ConnectorMachine, type ConnectorState, type Order } from './admission.ts'
import { bytesOf, commandOf, tickData } from './commands.ts'
import { LOST_GRACE_MS, MAX_REJOINS, REDIAL_MS, REJOIN_MS } from './limits.ts'
import type { RouterOptions } from './options.ts'
import { Outbox } from './outbox.ts'
import type { Peer } from './peer.ts'
import { receiveAll } from './receive.ts'
import type { Switchboard } from './switchboard.ts'
import type { Times } from './times.ts'

const NOTHING: Buffer = Buffer.alloc(0)

export interface ConnectorOptions {
  readonly library: Zeromq
  readonly context: Context
  /** Of the peer that is to answer there. */
  readonly name: string
  readonly address: string
  readonly socketOptions: RouterOptions
  readonly times: Times
  readonly board: Switchboard
}

/**
 * Our side of one connection that we make. It has a socket of its own: what comes from it is that peer or nobody, and
 * `stop` ends the connection itself (weak points 8 and 9).
 */
export class Connector {
  readonly name: string
  readonly address: string
  readonly #options: ConnectorOptions
  readonly #machine: ConnectorMachine
  readonly #id: Buffer
  #socket: Router | undefined
  #outbox: Outbox | undefined
  #peer: Peer | undefined
  #timer: NodeJS.Timeout | undefined
  /** The connection is up. */
  #linked = false
  /** The connection broke; what it brought before is still being read. */
  #grace: NodeJS.Timeout | undefined
  #rejoin: NodeJS.Timeout | undefined

  constructor(options: ConnectorOptions) {
    this.name = options.name
    this.address = options.address
    this.#options = options
    this.#id = Buffer.from(options.name)
    this.#machine = new ConnectorMachine(options.times, Math.random)
  }

  get state(): ConnectorState {
    return this.#machine.state
  }

  start(): void {
    this.#machine.start(performance.now())
    this.#arm()
  }

  yield(): void {
    this.#obey(this.#machine.yield())
  }

  resume(): void {
    this.#machine.resume(performance.now())
    this.#arm()
  }

  stop(): void {
    this.#obey(this.#machine.stop())
  }

  #obey(orders: readonly Order[]): void {
    for (const order of orders) {
      switch (order) {
        case 'open':
          this.#open()
          break
        case 'close':
          this.#close()
          break
        case 'join':
          this.#join()
          break
        case 'tick':
          this.#tick()
          break
        case 'up':
          this.#up()
          break
        case 'down':
          this.#down()
          break
      }
    }
    this.#arm()
  }

  /** The machine is asked again when its time has come; messages put that off without touching the timer. */
  #arm(): void {
    clearTimeout(this.#timer)
    const { wakeAt } = this.#machine
    if (wakeAt === Infinity) return
    // A turn later: what came while this process was stopped is read before the clock counts.
    this.#timer = setTimeout(
      () => setImmediate(() => this.#obey(this.#machine.due(performance.now()))),
      Math.min(MAX_TIMER_MS, Math.max(1, Math.ceil(wakeAt - performance.now()))),
    )
  }

  #open(): void {
    const { library, context, address, name, socketOptions, board } = this.#options
    let socket: Router
    try {
      socket = new library.Router({ ...socketOptions, context })
      this.#socket = socket
      this.#outbox = new Outbox(socket)
      socket.events.on('handshake', () => {
        if (this.#socket === socket) this.#linkUp()
      })
      socket.events.on('disconnect', () => {
        if (this.#socket === socket) this.#linkDown()
      })
      redial(socket, address, REDIAL_MS)
      socket.connect(address)
    } catch (error) {
      board.failed(error, `No connection to ${name} at ${address} can be made`)
      return
    }
    void receiveAll(socket, (parts) => this.#take(parts), board)
  }

  #close(): void {
    clearTimeout(this.#grace)
    clearTimeout(this.#rejoin)
    this.#grace = undefined
    this.#linked = false
    this.#outbox?.close()
    this.#socket?.close()
    this.#outbox = undefined
    this.#socket = undefined
  }

  #linkUp(): void {
    if (this.#grace !== undefined) this.#broken()
    this.#linked = true
    this.#obey(this.#machine.linkUp(performance.now()))
  }

  #linkDown(): void {
    this.#linked = false
    if (this.#grace !== undefined) return
    // A turn later: what it brought is read first, also where this process was held up.
    const mine = setTimeout(() => {
      setImmediate(() => {
        if (this.#grace === mine) this.#broken()
      })
    }, LOST_GRACE_MS)
    this.#grace = mine
  }

  #broken(): void {
    clearTimeout(this.#grace)
    this.#grace = undefined
    this.#obey(this.#machine.linkDown(performance.now()))
  }

  /** The handshake is told a moment before the route is there. */
  #join(again = MAX_REJOINS): void {
    const { name, board } = this.#options
    const socket = this.#socket
    this.#outbox?.send([name, bytesOf('JOIN'), board.network], () => {
      if (again === 0 || !this.#linked || this.#socket !== socket) return
      clearTimeout(this.#rejoin)
      this.#rejoin = setTimeout(() => {
        if (this.#machine.state === 'handshake') this.#join(again - 1)
      }, REJOIN_MS)
    })
  }

  #up(): void {
    const { name, board } = this.#options
    if (this.#outbox === undefined) return
    this.#peer = board.newPeer(name, true, this.#outbox, () => this.#tick())
    board.peerUp(this.#peer)
  }

  #tick(): void {
    this.#outbox?.send([this.name, bytesOf('TICK'), tickData(this.#machine.ticks)], () => {})
  }

  #down(): void {
    const peer = this.#peer
    this.#peer = undefined
    if (peer !== undefined) this.#options.board.peerDown(peer)
  }

  #take(parts: Buffer[]): void {
    const { board } = this.#options
    if (parts.length > 3) {
      board.counters.extraParts++
      return
    }
    const [id, name, data = NOTHING] = parts
    if (id === undefined || !this.#id.equals(id)) {
      board.counters.strangers++
      return
    }
    const now = performance.now()
    const command = commandOf(name)
    switch (command) {
      case 'STAY':
        this.#obey(this.#machine.stay(now))
        return
      case 'PART':
        this.#obey(this.#machine.part(now))
        return
      case 'CALL':
      case 'CAST':
      case 'BACK':
      case 'TOCK':
        if (this.#peer === undefined) {
          board.counters.strangers++
          return
        }
        if (this.#machine.heard(now)) this.#arm()
        this.#peer.heard(now, data.length)
        if (command !== 'TOCK') board.message(this.#peer, command, data)
        return
      case 'JOIN':
      case 'TICK':
      case undefined:
        board.counters.unknownCommands++
    }
  }
}
