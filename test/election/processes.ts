import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { TestContext } from 'node:test'

/** What test/election/programs/stand.ts prints. */
export interface Line {
  readonly event: 'primary' | 'secondary' | 'lost' | 'error'
  readonly term?: number
  readonly instance?: string
  readonly pid?: number
  readonly code?: string
}

/** The processes of a test. Make it before the test's folders, so that at the end they are dead before those are removed. */
export class Programs {
  readonly #all: Program[] = []

  constructor(t: TestContext) {
    t.after(() => Promise.all(this.#all.map((program) => program.kill())))
  }

  start(runtimeDirectory: string, ...args: readonly string[]): Program {
    const program = new Program(runtimeDirectory, args)
    this.#all.push(program)
    return program
  }
}

export class Program {
  readonly child: ChildProcess
  readonly lines: Line[] = []
  #waiting: { readonly fits: (line: Line) => boolean; readonly resolve: (line: Line) => void }[] = []
  #seen = 0

  constructor(runtimeDirectory: string, args: readonly string[]) {
    const path = fileURLToPath(new URL('./programs/stand.ts', import.meta.url))
    this.child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', path, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, XDG_RUNTIME_DIR: runtimeDirectory },
    })
    assert(this.child.stdout !== null)
    createInterface({ input: this.child.stdout }).on('line', (text) => {
      this.lines.push(JSON.parse(text) as Line)
      this.#settle()
    })
  }

  get pid(): number {
    assert(this.child.pid !== undefined)
    return this.child.pid
  }

  /** The first line, from the last one returned onwards, that fits. */
  next(fits: (line: Line) => boolean = () => true): Promise<Line> {
    return new Promise((resolve) => {
      this.#waiting.push({ fits, resolve })
      this.#settle()
    })
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name)
  }

  /** As the kernel does it; resolves when the process is gone. */
  async kill(name: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return
    const gone = new Promise((resolve) => this.child.once('exit', resolve))
    this.child.kill(name)
    await gone
  }

  #settle(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const { fits, resolve } = first
      const at = this.lines.findIndex((line, i) => i >= this.#seen && fits(line))
      if (at < 0) return
      this.#seen = at + 1
      this.#waiting.shift()
      resolve(this.lines[at] as Line)
    }
  }
}
