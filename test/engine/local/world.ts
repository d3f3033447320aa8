import { mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { LocalEngineOptions } from '../../../src/engine/local/engine-options.ts'
import { LocalEngine } from '../../../src/engine/local/local-engine.ts'
import type { Engine } from '../../../src/engine/engine.ts'
import { openWorkspace } from '../../../src/election/index.ts'
import { memoryPlatform, posixPlatform, type MemoryProcess, type Platform } from '../../../src/platform/index.ts'
import {
  memoryTransport,
  unixTransport,
  type Connection,
  type Listener,
  type Transport,
} from '../../../src/transport/index.ts'
import type { EngineOptions, EngineWorld } from '../../../src/testing/conformance/engine.ts'
import { baseDirectory } from '../../support/index.ts'

/** A transport whose connections can be broken or left unread from outside. */
export class TappedTransport implements Transport {
  readonly dialled = new Set<Connection>()
  readonly accepted = new Set<Connection>()
  readonly #inner: Transport
  #paused = false

  constructor(inner: Transport) {
    this.#inner = inner
  }

  connect(path: string): Connection {
    return this.#tap(this.#inner.connect(path), this.dialled)
  }

  listen(path: string, options: Parameters<Transport['listen']>[1]): Listener {
    const onConnection = (connection: Connection): void => {
      options.onConnection(this.#tap(connection, this.accepted))
    }
    return this.#inner.listen(path, { ...options, onConnection })
  }

  /** Breaks every link of this member. */
  cut(): void {
    for (const connection of [...this.dialled, ...this.accepted]) connection.close()
    this.dialled.clear()
    this.accepted.clear()
  }

  pause(): () => void {
    this.#paused = true
    for (const connection of [...this.dialled, ...this.accepted]) connection.pause()
    return () => {
      this.#paused = false
      for (const connection of [...this.dialled, ...this.accepted]) connection.resume()
    }
  }

  #tap(connection: Connection, into: Set<Connection>): Connection {
    into.add(connection)
    if (this.#paused) connection.pause()
    return connection
  }
}

interface Joined {
  readonly engine: LocalEngine
  readonly transport: TappedTransport
  readonly process: MemoryProcess | undefined
}

/** A workspace of local engines; `shape` says what they run on. */
export class LocalWorld implements EngineWorld {
  readonly folder: string
  readonly #members = new Map<Engine, Joined>()
  readonly #platform: () => { platform: Platform; transport: Transport; process: MemoryProcess | undefined }
  readonly #dispose: () => void

  constructor(
    folder: string,
    platform: () => { platform: Platform; transport: Transport; process: MemoryProcess | undefined },
    dispose: () => void,
  ) {
    this.folder = folder
    this.#platform = platform
    this.#dispose = dispose
  }

  begin(options: EngineOptions & Partial<LocalEngineOptions>): { engine: LocalEngine; joined: Promise<void> } {
    const { platform, transport, process: own } = this.#platform()
    const { name = 'member', offers = [], open = true, limits = {}, primary = 'may', waitMs = 0 } = options
    const { version = 0, minVersion = 0, ref = true, whilePrimary } = options
    const tapped = new TappedTransport(transport)
    const engine = new LocalEngine({
      workspace: openWorkspace(platform, this.folder, { create: primary !== 'never' }),
      transport: tapped,
      name,
      pid: own?.pid ?? process.pid,
      ...{ version, minVersion, primary, waitMs, ref, limits, whilePrimary },
    })
    for (const offer of offers) engine.offer(offer)
    this.#members.set(engine, { engine, transport: tapped, process: own })
    const joined = engine.join(Infinity, undefined).then(() => {
      if (open) engine.open()
    })
    return { engine, joined }
  }

  kill(engine: Engine): void {
    const { transport, process: own } = this.#members.get(engine)!
    if (own === undefined) transport.cut()
    else own.kill()
    engine.abort(new Error('killed'))
    this.#members.delete(engine)
  }

  cut(engine: Engine): void {
    this.tap(engine).cut()
  }

  pause(engine: Engine): () => void {
    return this.tap(engine).pause()
  }

  tap(engine: Engine): TappedTransport {
    return this.#members.get(engine)!.transport
  }

  async dispose(): Promise<void> {
    for (const { engine } of this.#members.values()) engine.abort(new Error('the test is over'))
    await new Promise((resolve) => setImmediate(resolve))
    this.#dispose()
  }
}

export interface MemoryWorld extends LocalWorld {
  readonly machine: ReturnType<typeof memoryPlatform>
}

export function memoryWorld(): MemoryWorld {
  const machine = memoryPlatform()
  machine.process().makeDirectory('/tmp/w', 0o755)
  const shape = () => {
    const process = machine.process()
    return { platform: process, transport: memoryTransport(process), process }
  }
  return Object.assign(new LocalWorld('/tmp/w', shape, () => {}), { machine })
}

/** Real files and sockets, all members in this process. */
export function unixWorld(): LocalWorld {
  const root = mkdtempSync(join(realpathSync(baseDirectory()), 'e'))
  const [folder, runtime] = [join(root, 'w'), join(root, 'r')]
  mkdirSync(folder)
  mkdirSync(runtime, { mode: 0o700 })
  const before = process.env['XDG_RUNTIME_DIR']
  process.env['XDG_RUNTIME_DIR'] = runtime
  const platform = posixPlatform()
  return new LocalWorld(
    folder,
    () => ({ platform, transport: unixTransport(platform), process: undefined }),
    () => {
      if (before === undefined) delete process.env['XDG_RUNTIME_DIR']
      else process.env['XDG_RUNTIME_DIR'] = before
      rmSync(root, { recursive: true, force: true })
    },
  )
}
