import { execFile, fork, spawn, spawnSync, type ChildProcess, type StdioOptions } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants, mkdirSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { availableParallelism } from 'node:os'
import { promisify } from 'node:util'

/** Longest wait for one answer of a side: what takes longer hangs. */
const ANSWER_MS = 300_000

/** Flags that the runner's Node was started with hold for its sides: the same `conclave`, and `--trace-gc` reaches them. */
const FLAGS: readonly string[] = process.execArgv

type Answer = { readonly id: number; readonly value?: unknown; readonly error?: string }

/** Every process still alive and every folder still there, so that a signal ends them too. */
const open = new Set<Processes>()

export function endAll(): void {
  for (const processes of open) processes.end()
}

/** One process of one side of a comparison: a module of bench/sides, driven by commands. */
export class Side {
  readonly pid: number
  readonly #child: ChildProcess
  readonly #label: string
  readonly #waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  #last = 0

  constructor(child: ChildProcess, label: string) {
    if (child.pid === undefined) throw new Error(`${label} did not start`)
    this.pid = child.pid
    this.#child = child
    this.#label = label
    child.on('message', (message) => {
      const { id, value, error } = message as Answer
      const waiter = this.#waiting.get(id)
      this.#waiting.delete(id)
      if (error === undefined) waiter?.resolve(value)
      else waiter?.reject(new Error(`${label}: ${error}`))
    })
    child.once('exit', (code, signal) => {
      for (const waiter of this.#waiting.values()) waiter.reject(new Error(`${label} ended: ${signal ?? code}`))
      this.#waiting.clear()
    })
  }

  /** The answer of a command of the side's module. */
  async ask<T = unknown>(command: string, args: object = {}): Promise<T> {
    const id = ++this.#last
    const answer = new Promise<unknown>((resolve, reject) => this.#waiting.set(id, { resolve, reject }))
    const late = setTimeout(() => {
      this.#waiting.get(id)?.reject(new Error(`${this.#label}: no answer to ${command} within ${ANSWER_MS / 1000} s`))
    }, ANSWER_MS)
    try {
      this.#child.send({ id, command, args }, (error) => {
        if (error !== null) this.#waiting.get(id)?.reject(error)
      })
      return (await answer) as T
    } finally {
      clearTimeout(late)
      this.#waiting.delete(id)
    }
  }

  /** In order, so that a profile is written. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exit = once(this.#child, 'exit')
    this.#child.send({ stop: true }, () => {})
    await exit
  }

  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const exit = once(this.#child, 'exit')
    this.#child.kill(signal)
    await exit
  }
}

/**
 * The processor that a process of a pair is kept on. Where the scheduler puts the two decides more than anything they do: on
 * one, a wake-up costs a microsecond, on two that have to be woken, tens of them.
 */
export type Core = 0 | 1

export const CAN_PIN: boolean = availableParallelism() > 1 && spawnSync('taskset', ['-c', '0,1', 'true']).status === 0

function pinned(command: string, args: readonly string[], core: Core | undefined): [string, readonly string[]] {
  return core === undefined || !CAN_PIN ? [command, args] : ['taskset', ['-c', String(core), command, ...args]]
}

/** The processes and the folder of one case. Disposing ends all of them and removes it. */
export class Processes implements AsyncDisposable {
  readonly directory: string
  readonly #profile: string | undefined
  readonly #children = new Set<ChildProcess>()
  readonly #sides: Side[] = []
  #folders = 0

  constructor({ profile }: { readonly profile?: string | undefined } = {}) {
    this.#profile = profile
    // Short: a socket's path has 103 bytes.
    this.directory = mkdtempSync(join(process.env['CONCLAVE_TEST_BASE'] ?? realpathSync('/tmp'), 'cb-'))
    open.add(this)
  }

  /** A fresh folder of this case. */
  folder(): string {
    const path = join(this.directory, `f${++this.#folders}`)
    mkdirSync(path, { mode: 0o700 })
    return path
  }

  /** Starts `bench/sides/<module>.ts` and waits until it is ready. `profiled`: it is one that `--profile` asks for. */
  async side(
    module: string,
    options: object,
    { profiled = false, label = module, flags = [] as string[], core = undefined as Core | undefined } = {},
  ) {
    const profile =
      profiled && this.#profile !== undefined
        ? ['--cpu-prof', `--cpu-prof-dir=${this.#profile}`, `--cpu-prof-name=${label}.cpuprofile`]
        : []
    const child = fork(join(import.meta.dirname, 'side.ts'), [module, JSON.stringify(options)], {
      execArgv: [...FLAGS, ...profile, ...flags],
      env: this.#environment(),
      serialization: 'advanced',
      stdio: ['ignore', 2, 2, 'ipc'],
    })
    this.#keep(child)
    if (core !== undefined && CAN_PIN) spawnSync('taskset', ['-apc', String(core), String(child.pid)])
    const side = new Side(child, label)
    this.#sides.push(side)
    await side.ask('ready')
    return side
  }

  /** Starts another program; resolves when it has printed its first bytes, if `speaks`. */
  async program(
    command: string,
    args: readonly string[],
    { speaks = false, core = undefined as Core | undefined } = {},
  ): Promise<ChildProcess> {
    const stdio: StdioOptions = ['ignore', speaks ? 'pipe' : 'ignore', 2]
    const child = spawn(...pinned(command, args, core), { stdio, env: this.#environment() })
    this.#keep(child)
    await once(child, 'spawn')
    if (child.stdout !== null) await Promise.race([once(child.stdout, 'data'), failed(child, command)])
    return child
  }

  /** Runs a program to its end; what it printed. @throws if its exit code is not 0 */
  async execute(command: string, args: readonly string[], core?: Core): Promise<string> {
    const running = promisify(execFile)(...pinned(command, args, core), {
      env: this.#environment(),
      encoding: 'utf8',
      maxBuffer: 64 << 20,
    })
    this.#keep(running.child)
    return (await running).stdout
  }

  /**
   * Starts `bench/programs/<name>.mjs`, plain JavaScript in a bare Node: what a program costs without the bench around
   * it. Resolves when it has said something, with how long that took.
   */
  async bare(
    name: string,
    args: readonly string[] = [],
  ): Promise<{ readonly child: ChildProcess; readonly ms: number }> {
    const program = join(import.meta.dirname, '..', 'programs', `${name}.mjs`)
    const begin = performance.now()
    const child = await this.program(process.execPath, [...FLAGS, program, ...args], { speaks: true })
    return { child, ms: performance.now() - begin }
  }

  /** Compiles a C program of bench/native. */
  async compile(name: string): Promise<string> {
    const program = join(this.directory, name)
    const source = join(import.meta.dirname, '..', 'native', `${name}.c`)
    await this.execute('cc', ['-O2', '-o', program, source])
    return program
  }

  /** Now; for signals and exits. */
  end(): void {
    open.delete(this)
    for (const child of this.#children) child.kill('SIGKILL')
    rmSync(this.directory, { recursive: true, force: true, maxRetries: 3 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#profile !== undefined) await Promise.all(this.#sides.map((side) => side.stop()))
    const exits = [...this.#children].map((child) => once(child, 'exit'))
    for (const child of this.#children) child.kill('SIGKILL')
    await Promise.all(exits)
    this.end()
  }

  #keep(child: ChildProcess): void {
    this.#children.add(child)
    child.once('exit', () => this.#children.delete(child))
    child.once('error', () => this.#children.delete(child))
  }

  #environment(): NodeJS.ProcessEnv {
    const environment: NodeJS.ProcessEnv = { ...process.env, XDG_RUNTIME_DIR: this.directory }
    for (const name of Object.keys(environment)) {
      if (name === 'NODE_OPTIONS' || name.startsWith('NODE_TEST') || name.startsWith('NODE_CHANNEL')) {
        delete environment[name]
      }
    }
    return environment
  }
}

async function failed(child: ChildProcess, command: string): Promise<never> {
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  throw new Error(`${command} ended before it was ready: ${signal ?? code}`)
}

/** The path of an installed program. */
export function findProgram(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}
