import { randomUUID } from 'node:crypto'
import { Context, Router } from 'zeromq'
import {
  Bilateral,
  newKeypair,
  type BilateralOptions,
  type Keypair,
  type Times,
} from '../../../src/dialects/bilateral/index.ts'
import { defer, temporaryDirectory, until, type Scope } from '../../support/index.ts'

export const NETWORK = 'net one'

/** Of tests that do not look at times: no pause where there need be none, and one JOIN however slow the machine is. */
export const QUICK: Partial<Times> = {
  startDelayMs: 0,
  joinFirstMs: 50,
  joinEveryMs: 60_000,
  partWaitMs: 50,
  partStepMs: 0,
}

export const LOCAL = 'tcp://127.0.0.1:*'

/** What the recorded nodes offer. */
export class Arith {
  SumDiff({ A = 0, B = 0 }: { A?: number; B?: number }): { S: number; D: number } {
    return { S: A + B, D: A - B }
  }

  Fail(): never {
    throw new Error('arith failed on purpose')
  }

  Whoami({ Bilateral_SENDER: sender }: { Bilateral_SENDER?: string }): { Text: string } {
    return { Text: sender ?? '' }
  }
}

export async function plain(t: Scope, name: string, options: BilateralOptions = {}): Promise<Bilateral> {
  const node = await Bilateral.plaintext(NETWORK, name, { codec: 'json', times: QUICK, ...options })
  defer(t, () => node.close())
  return node
}

export async function encrypted(t: Scope, keys: Keypair, options: BilateralOptions = {}): Promise<Bilateral> {
  const given = { codec: 'json', times: QUICK, ...options } as const
  const node = await Bilateral.encrypted(NETWORK, keys.publicKey, keys.secretKey, given)
  defer(t, () => node.close())
  return node
}

export async function listening(node: Bilateral): Promise<string> {
  const [address = ''] = await node.listenOn(LOCAL)
  return address
}

/** Two nodes, the second connected to the first. */
export async function pair(
  t: Scope,
  options: BilateralOptions = {},
  others: BilateralOptions = options,
): Promise<readonly [Bilateral, Bilateral]> {
  const [a, b] = [await plain(t, 'a', options), await plain(t, 'b', others)]
  b.connectTo('a', await listening(a))
  await Promise.all([b.connected('a'), a.connected('b')])
  return [a, b]
}

export function ipc(t: Scope): string {
  return `ipc://${temporaryDirectory(t)}/${randomUUID().slice(0, 8)}`
}

export interface RawOptions {
  readonly name: string
  /** Own keys, and the key of the other side. */
  readonly keys?: Keypair & { readonly server?: string }
}

/** A peer that sends what it is told to, and keeps what it gets. */
export class RawPeer {
  readonly socket: Router
  readonly received: string[][] = []
  #taken = 0

  constructor(t: Scope, { name, keys }: RawOptions) {
    const curve =
      keys === undefined
        ? {}
        : {
            curvePublicKey: keys.publicKey,
            curveSecretKey: keys.secretKey,
            ...(keys.server === undefined ? { curveServer: true } : { curveServerKey: keys.server }),
          }
    const base = { context: new Context(), routingId: name, mandatory: true, handover: true, sendTimeout: 0, linger: 0 }
    this.socket = new Router({ ...base, ...curve })
    defer(t, () => this.socket.close())
    void this.#receive()
  }

  connect(address: string): this {
    this.socket.connect(address)
    return this
  }

  listen(): string {
    this.socket.bindSync(LOCAL)
    return this.socket.lastEndpoint ?? ''
  }

  /** Waits for a route. */
  async send(to: string, ...parts: (string | Uint8Array)[]): Promise<void> {
    await until(async () => {
      try {
        await this.socket.send([to, ...parts])
        return true
      } catch {
        return false
      }
    }, `a route to ${to}`)
  }

  /** The next message, as [from, command, data in latin1]. */
  async next(): Promise<string[]> {
    await until(() => this.received.length > this.#taken, 'a message of the node')
    return this.received[this.#taken++] as string[]
  }

  /** JOIN, and its answer. */
  async join(to: string, network = NETWORK): Promise<string | undefined> {
    await this.send(to, 'JOIN', network)
    return (await this.next())[1]
  }

  async #receive(): Promise<void> {
    try {
      for await (const [from, ...parts] of this.socket) {
        this.received.push([String(from), ...parts.map((part) => part.toString('latin1'))])
      }
    } catch {
      // Closed.
    }
  }
}

export async function keypairs(count: number): Promise<Keypair[]> {
  return Promise.all(Array.from({ length: count }, () => newKeypair()))
}
