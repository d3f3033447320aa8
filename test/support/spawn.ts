import { spawn, spawnSync, type ChildProcess, type ChildProcessByStdio } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, extname, isAbsolute, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { childEnv, NODE_FLAGS, ROOT } from './flags.ts'
import { defer, type Scope } from './scope.ts'
import { LIMIT_MS, until, within } from './until.ts'

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  /** Flags for Node, before the program. */
  readonly flags?: readonly string[]
  /** Warnings that are part of the test. By default any `…Warning: …` on stderr fails it. */
  readonly allowWarnings?: boolean | RegExp
  /** The Node to run it with; default: this one. */
  readonly node?: string
  /** False: `conclave` is what is installed beside the program, not src/. */
  readonly sources?: boolean
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export type Message = Readonly<Record<string, unknown>>
type Predicate<M> = ((message: Message) => message is M & Message) | ((message: Message) => boolean)

interface Waiter {
  readonly fits: (message: Message) => boolean
  readonly resolve: (message: Message) => void
  readonly reject: (error: Error) => void
}

const WARNING = /^\(node:\d+\) .*Warning: .*$/gm

/** A running `test/programs/<name>.ts`. */
export class Program {
  readonly name: string
  readonly pid: number
  /** All it said so far, also what `next` gave already. */
  readonly messages: Message[] = []
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #exit: Promise<Exit>
  #unread: Message[] = []
  #waiters: Waiter[] = []
  #stderr = ''
  #garbage: string[] = []
  #ended: Exit | undefined
  #lookedAtExit = false
  #signalled = false

  /** Use `spawnProgram`. */
  constructor(name: string, child: ChildProcessByStdio<Writable, Readable, Readable>) {
    this.name = name
    this.#child = child
    if (child.pid === undefined) throw new Error(`${name} did not start`)
    this.pid = child.pid
    createInterface({ input: child.stdout }).on('line', (line) => this.#take(line))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text))
    child.stdin.on('error', () => {}) // it ended first; `exit` tells
    this.#exit = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        this.#ended = { code, signal }
        for (const waiter of this.#waiters.splice(0)) waiter.reject(this.#error('ended while a message was awaited'))
        resolve(this.#ended)
      })
    })
  }

  /** When it has ended and all it said is read. A test that never looks at the exit of a failed program fails. */
  get exit(): Promise<Exit> {
    this.#lookedAtExit = true
    return this.#exit
  }

  get stderr(): string {
    return this.#stderr
  }

  get running(): boolean {
    return this.#ended === undefined
  }

  /** The first message not yet given that fits; those before it stay for later. Rejects when the program ends first. */
  next<M = unknown>(fits: Predicate<M> = () => true): Promise<Message & M> {
    const at = this.#unread.findIndex((message) => fits(message))
    if (at >= 0) return Promise.resolve(this.#unread.splice(at, 1)[0] as Message & M)
    if (this.#ended !== undefined) return Promise.reject(this.#error('ended before the awaited message'))
    const message = new Promise<Message>((resolve, reject) => this.#waiters.push({ fits, resolve, reject }))
    return within(message, `a message of ${this.name} (${fits.toString()})`).catch((error: unknown) => {
      throw error instanceof Error && error.message.startsWith('Waited') ? this.#error(error.message) : error
    }) as Promise<Message & M>
  }

  /** Its `{ "ready": true, … }`. */
  ready<M = unknown>(): Promise<Message & M> {
    return this.next<M>((message) => message['ready'] === true)
  }

  send(command: object): void {
    this.#child.stdin.write(`${JSON.stringify(command)}\n`)
  }

  /** Closes its standard input: `commands()` ends. */
  letGo(): void {
    this.#child.stdin.end()
  }

  /** Resolves when it has ended and all it said is read. A stopped program gets other signals than SIGKILL after `cont`. */
  kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Exit> {
    this.#signalled = true
    this.#child.kill(signal)
    return within(this.exit, `${this.name} to end after ${signal}`)
  }

  /** SIGSTOP; resolves when the kernel has stopped it. */
  async stop(): Promise<void> {
    this.#child.kill('SIGSTOP')
    await until(() => stateOf(this.pid).startsWith('T'), `${this.name} to be stopped`)
  }

  cont(): void {
    this.#child.kill('SIGCONT')
  }

  /** @internal Ends it; gives what the test should have noticed. */
  async finish(allow: boolean | RegExp): Promise<string[]> {
    const crashed = this.#ended
    if (crashed === undefined) {
      this.cont()
      this.#child.kill('SIGKILL')
      await within(this.#exit, `${this.name} to be gone`)
    }
    const complaints = this.#garbage.map((line) => `wrote a line that is no JSON object: ${line}`)
    for (const [warning] of this.#stderr.matchAll(WARNING)) {
      if (allow === true || (allow instanceof RegExp && allow.test(warning))) continue
      complaints.push(`warned: ${warning}`)
    }
    if (crashed !== undefined && crashed.code !== 0 && !this.#lookedAtExit && !this.#signalled) {
      complaints.push(`ended by itself, unnoticed, with ${JSON.stringify(crashed)}\n${this.#stderr}`)
    }
    return complaints
  }

  #take(line: string): void {
    let message: unknown
    try {
      message = JSON.parse(line)
    } catch {
      message = undefined
    }
    if (typeof message !== 'object' || message === null || Array.isArray(message)) {
      this.#garbage.push(line)
      return
    }
    const said = message as Message
    this.messages.push(said)
    const at = this.#waiters.findIndex((waiter) => waiter.fits(said))
    if (at >= 0) this.#waiters.splice(at, 1)[0]?.resolve(said)
    else this.#unread.push(said)
  }

  #error(what: string): Error {
    const exit = this.#ended === undefined ? 'running' : JSON.stringify(this.#ended)
    const said = this.messages.slice(-5).map((message) => JSON.stringify(message))
    return new Error(
      `${this.name} (${this.pid}, ${exit}): ${what}\nlast said: ${said.join('\n  ')}\nstderr: ${this.#stderr}`,
    )
  }
}

/** Starts `test/programs/<name>.ts` (or a file by its absolute path) with the Node that runs the test. Gone when the test ends. */
export function spawnProgram(
  t: Scope,
  name: string,
  args: readonly string[] = [],
  { env = {}, cwd, flags = [], allowWarnings = false, node = process.execPath, sources = true }: SpawnOptions = {},
): Program {
  const file = isAbsolute(name) ? name : join(ROOT, 'test', 'programs', `${name}.ts`)
  const child = spawn(node, [...(sources ? NODE_FLAGS : []), ...flags, file, ...args], {
    cwd: cwd ?? ROOT,
    env: childEnv(env),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const program = new Program(basename(name, extname(name)), child)
  defer(t, async () => {
    const complaints = await program.finish(allowWarnings)
    if (t.passed === false && program.stderr !== '') t.diagnostic?.(`stderr of ${program.name}: ${program.stderr}`)
    if (complaints.length > 0) throw new Error(`${program.name} (${program.pid}) ${complaints.join('\n')}`)
  })
  return program
}

export interface ExecuteOptions {
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly cwd?: string
  readonly input?: string
  readonly limitMs?: number
}

export interface Executed extends Exit {
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command to its end, whatever its exit code: for the CLI, examples and package tools. Killed at the limit. */
export async function execute(
  t: Scope,
  command: string,
  args: readonly string[],
  { env = {}, cwd = ROOT, input = '', limitMs = LIMIT_MS }: ExecuteOptions = {},
): Promise<Executed> {
  const child: ChildProcess = spawn(command, args, { cwd, env: childEnv(env), stdio: ['pipe', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdin?.on('error', () => {})
  child.stdin?.end(input)
  const ended = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  defer(t, () => child.kill('SIGKILL'))
  try {
    return { ...(await within(ended, `${[command, ...args].join(' ')} to end`, limitMs)), stdout, stderr }
  } catch (error) {
    child.kill('SIGKILL')
    throw new Error(`${String(error)}\nstdout: ${stdout}\nstderr: ${stderr}`, { cause: error })
  }
}

/** The conclave command from the sources: `conclave(t, ['status', '--json'])`. */
export function conclave(t: Scope, args: readonly string[], options: ExecuteOptions = {}): Promise<Executed> {
  return execute(t, process.execPath, [...NODE_FLAGS, join(ROOT, 'src', 'cli', 'main.ts'), ...args], options)
}

/** The kernel's letter for a process: R, S, T (stopped), Z; empty when it is gone. */
export function stateOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    return stat.slice(stat.lastIndexOf(')') + 2)[0] ?? ''
  } catch {
    if (process.platform === 'linux') return ''
    return spawnSync('ps', ['-o', 'state=', '-p', String(pid)], { encoding: 'utf8' }).stdout.trim()
  }
}
