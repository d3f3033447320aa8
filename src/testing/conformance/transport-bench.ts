import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Connection, Listener, Transport } from '../../transport/index.ts'

export interface TransportUnderTest {
  readonly transport: Transport
  /** The uid that both sides see. */
  readonly uid: number
  /** Most bytes of one write; the suite splits longer ones. Default: any number. */
  readonly maxWriteBytes?: number
  /** An address nobody uses, in a directory that exists. */
  address(): string
  /** Called after each test. */
  dispose(): void
}

/** Bytes in which a shift, a loss or a repeat shows. */
export function pattern(size: number, seed = 0): Buffer {
  const bytes = Buffer.allocUnsafe(size)
  for (let at = 0; at < size; at++) bytes[at] = (at * 31 + (at >> 8) * 7 + (at >> 16) + seed) & 0xff
  return bytes
}

/** So many turns of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Listeners and connections of one test, closed after it. */
export class Bench {
  readonly under: TransportUnderTest
  readonly #open: { close(): void }[] = []
  readonly #waiting = new Map<Listener, ((connection: Connection) => void)[]>()

  constructor(under: TransportUnderTest, context: TestContext) {
    this.under = under
    context.after(() => {
      for (const item of this.#open) item.close()
      under.dispose()
    })
  }

  listen(options: { path?: string; backlog?: number } = {}): Listener {
    const accepted: ((connection: Connection) => void)[] = []
    const listener = this.under.transport.listen(options.path ?? this.under.address(), {
      backlog: options.backlog ?? 100,
      onConnection: (connection) => {
        const take = accepted.shift()
        if (take === undefined) connection.close()
        else take(connection)
      },
      onError: (error) => assert.fail(error),
    })
    this.#waiting.set(listener, accepted)
    this.#open.push(listener)
    return listener
  }

  pair(): Promise<[Side, Side]> {
    return this.pairWith(this.listen())
  }

  pairWith(listener: Listener): Promise<[Side, Side]> {
    return new Promise((resolve) => {
      const client = this.adopt(this.under.transport.connect(listener.path))
      this.#waiting.get(listener)?.push((connection) => resolve([client, this.adopt(connection)]))
    })
  }

  /** Closed when the test ends. */
  own(item: { close(): void }): void {
    this.#open.push(item)
  }

  adopt(connection: Connection): Side {
    const side = new Side(connection, this.under.maxWriteBytes)
    this.#open.push(connection)
    return side
  }
}

/** A connection that writes down what happens to it. */
export class Side {
  readonly connection: Connection
  readonly closing: Promise<Error | undefined>
  /** Sends back what it gets. */
  echo = false
  onData: (() => void) | undefined
  onEnd: (() => void) | undefined
  onDrain: (() => void) | undefined
  length = 0
  reads = 0
  drains = 0
  closes = 0
  ended = false
  readonly #maxWriteBytes: number
  readonly #pieces: Buffer[] = []
  #checks: (() => boolean)[] = []

  constructor(connection: Connection, maxWriteBytes: number = Infinity) {
    this.connection = connection
    this.#maxWriteBytes = maxWriteBytes
    let closed: (error: Error | undefined) => void
    this.closing = new Promise((resolve) => (closed = resolve))
    connection.handlers = {
      onData: (bytes, start, end) => {
        assert.equal(this.ended || this.closed, false, 'no bytes after the end')
        assert.ok(end > start)
        this.reads++
        this.length += end - start
        this.#pieces.push(Buffer.from(bytes.subarray(start, end)))
        if (this.echo) connection.write(bytes, start, end)
        this.onData?.()
        this.#changed()
      },
      onEnd: () => {
        assert.equal(this.ended || this.closed, false, 'one end')
        this.ended = true
        this.onEnd?.()
        this.#changed()
      },
      onDrain: () => {
        this.drains++
        assert.equal(connection.bufferedBytes, 0)
        this.onDrain?.()
        this.#changed()
      },
      onClose: (error) => {
        this.closes++
        closed(error)
        this.#changed()
      },
    }
  }

  get closed(): boolean {
    return this.closes > 0
  }

  /** All of `bytes`, in as many writes as it takes. @returns what the last one returned */
  write(bytes: Uint8Array): boolean {
    let all = true
    for (let start = 0; start < bytes.length; start += this.#maxWriteBytes) {
      all = this.connection.write(bytes, start, Math.min(bytes.length, start + this.#maxWriteBytes))
    }
    return all
  }

  /** What each `onData` brought. */
  get pieces(): readonly Buffer[] {
    return this.#pieces
  }

  bytes(): Buffer {
    return Buffer.concat(this.#pieces)
  }

  /** Waits until the condition holds; it is looked at after each event and now and then. */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return
    const now = setInterval(() => this.#changed(), 5)
    await new Promise<void>((resolve) => {
      this.#checks.push(() => {
        if (condition()) resolve()
        return condition()
      })
    })
    clearInterval(now)
  }

  #changed(): void {
    this.#checks = this.#checks.filter((check) => !check())
  }
}
