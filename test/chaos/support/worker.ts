import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { childEnv, NODE_FLAGS, ROOT, stateOf, until, within, type Exit } from '../../support/index.ts'
import type { Death } from '../checkers/primaries.ts'
import type { Command } from './commands.ts'
import { now } from './clock.ts'
import { PATIENCE_MS } from './limits.ts'

export interface Failed {
  readonly code: string
  readonly message: string
  readonly stack: string
}

/** A command was not answered since the process ended first, which a plan may intend. */
export class Gone extends Error {}

/** A command was answered with an error. */
export class Refused extends Error {
  readonly code: string

  constructor(name: string, command: string, failed: Failed) {
    super(`${name} could not ${command}: ${failed.code} ${failed.message}\n${failed.stack}`)
    this.code = failed.code
  }
}

export interface WorkerOptions {
  readonly flags?: readonly string[]
  readonly env?: Readonly<Record<string, string | undefined>>
}

interface Waiter {
  readonly resolve: (answer: Record<string, unknown>) => void
  readonly reject: (error: Error) => void
}

const PROGRAM = join(ROOT, 'test', 'chaos', 'programs', 'worker.ts')
const MOST_STDERR = 20_000

/** One running test/chaos/programs/worker.ts. */
export class Worker {
  readonly pid: number
  readonly exit: Promise<Exit>
  readonly ready: Promise<void>
  /** Its name in the round it takes part in. */
  name = 'spare'
  /** Set when a plan ends it: an end without is a crash. */
  death: { pid: number; sent: number; seen: number } | undefined
  ended: Exit | undefined
  endedAt = Infinity
  stderr = ''
  stopped = false
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>
  readonly #waiting = new Map<number, Waiter>()
  #tag = 0

  constructor(options: WorkerOptions = {}) {
    const env = childEnv(options.env ?? {})
    this.#child = spawn(process.execPath, [...NODE_FLAGS, ...(options.flags ?? []), PROGRAM], {
      env,
      cwd: ROOT,
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    if (this.#child.pid === undefined) throw new Error('a worker did not start')
    this.pid = this.#child.pid
    this.#child.stdin.on('error', () => {}) // it ended first; `exit` tells
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr = (this.stderr + text).slice(-MOST_STDERR)
    })
    const isReady = new Promise<void>((resolve, reject) => {
      this.#waiting.set(0, { resolve: () => resolve(), reject })
    })
    this.ready = within(isReady, `worker ${this.pid} to be ready`, PATIENCE_MS)
    this.ready.catch(() => {})
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#take(line))
    this.#child.once('exit', () => {
      this.endedAt = now()
      if (this.death !== undefined) this.death.seen = this.endedAt
    })
    this.exit = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        this.ended = { code, signal }
        for (const { reject } of this.#waiting.values()) reject(new Gone(`${this.name} (${this.pid}) is gone`))
        this.#waiting.clear()
        resolve(this.ended)
      })
    })
  }

  get alive(): boolean {
    return this.ended === undefined && this.endedAt === Infinity
  }

  /** Nobody ordered its end. */
  get crashed(): boolean {
    return !this.alive && this.death === undefined
  }

  /** @throws `Gone`, `Refused`, or that it did not answer in time */
  async ask<A = Record<string, unknown>>(command: Command, limitMs: number = PATIENCE_MS): Promise<A> {
    if (!this.alive) throw new Gone(`${this.name} (${this.pid}) is gone`)
    const tag = ++this.#tag
    const answer = new Promise<Record<string, unknown>>((resolve, reject) => {
      this.#waiting.set(tag, { resolve, reject })
    })
    answer.catch(() => {})
    this.#child.stdin.write(`${JSON.stringify({ ...command, tag })}\n`)
    const given = await within(answer, `${this.name} (${this.pid}) to answer ${JSON.stringify(command)}`, limitMs)
    if (given['failed'] !== undefined) throw new Refused(this.name, command.do, given['failed'] as Failed)
    return given as A
  }

  /** Notes that it is about to end, so that its end is no crash. */
  doom(): Death {
    this.death ??= { pid: this.pid, sent: now(), seen: Infinity }
    return this.death
  }

  /** Ends it, also when it is stopped. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    this.doom()
    this.#child.kill(signal)
    await within(this.exit, `${this.name} (${this.pid}) to end after ${signal}`, PATIENCE_MS)
  }

  async stop(): Promise<void> {
    this.stopped = true
    this.#child.kill('SIGSTOP')
    await until(() => !this.alive || stateOf(this.pid).startsWith('T'), `${this.name} to be stopped`, {
      limitMs: PATIENCE_MS,
    })
  }

  cont(): void {
    this.stopped = false
    this.#child.kill('SIGCONT')
  }

  #take(line: string): void {
    const message = JSON.parse(line) as Record<string, unknown> & { tag?: number; ready?: boolean }
    const tag = message.ready === true ? 0 : (message.tag ?? -1)
    const waiter = this.#waiting.get(tag)
    this.#waiting.delete(tag)
    waiter?.resolve(message)
  }
}
