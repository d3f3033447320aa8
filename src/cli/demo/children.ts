import { spawn, type ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { programFile } from '../../platform/package.ts'
import type { ProcessView } from './state.ts'

const PROGRAM = programFile('cli/demo/worker')
const STDERR_KEPT = 2_000
const END_MS = 4_000

export interface ChildOptions {
  readonly workspace: string
  readonly tree: string
  readonly paceMs: number
  /** One that nobody killed has ended. */
  readonly onCrash: (sentence: string) => void
}

interface Child {
  readonly view: ProcessView
  readonly process: ChildProcess
  readonly ended: Promise<void>
}

/** The demo's processes, started with the Node that runs this one. */
export class Children {
  readonly #options: ChildOptions
  readonly #children: Child[] = []
  #stopping = false

  constructor(options: ChildOptions) {
    this.#options = options
  }

  get views(): ProcessView[] {
    return this.#children.map(({ view }) => view)
  }

  byPid(pid: number): ProcessView | undefined {
    return this.#children.find(({ view }) => view.pid === pid)?.view
  }

  start(name: string, late: boolean): ProcessView {
    const { workspace, tree, paceMs, onCrash } = this.#options
    const flags = process.execArgv.filter((flag) => !flag.startsWith('--inspect'))
    const options = ['--name', name, '--workspace', workspace, '--tree', tree, '--pace', String(paceMs)]
    const args = [...flags, '--disable-warning=ExperimentalWarning', PROGRAM, ...options]
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'ignore', 'pipe'] })
    const view: ProcessView = { name, pid: child.pid ?? 0, late, state: 'starting', role: undefined, term: 0, files: 0 }
    let said = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (said = (said + text).slice(-STDERR_KEPT)))
    child.stdin?.on('error', () => {})
    const ended = new Promise<void>((resolve) => {
      child.once('error', (error) => {
        onCrash(`${name} could not be started: ${error.message}.`)
        resolve()
      })
      child.once('close', (code, signal) => {
        if (view.state !== 'killed') view.state = 'ended'
        if (view.state === 'ended' && !this.#stopping)
          onCrash(`${name} (pid ${view.pid}) ended by itself, ${signal ?? code}: ${said.trim()}`)
        resolve()
      })
    })
    this.#children.push({ view, process: child, ended })
    return view
  }

  /** SIGKILL. Resolves when the kernel has taken it down. */
  async kill(view: ProcessView): Promise<void> {
    const child = this.#children.find((other) => other.view === view)
    view.state = 'killed'
    child?.process.kill('SIGKILL')
    await child?.ended
  }

  /** All of them: in order first, then by force. */
  async stop(): Promise<void> {
    this.#stopping = true
    const force = new AbortController()
    for (const { process: child } of this.#children) {
      child.kill('SIGTERM')
      child.stdin?.destroy()
    }
    const all = Promise.all(this.#children.map(({ ended }) => ended))
    await Promise.race([all, sleep(END_MS, undefined, { signal: force.signal }).catch(() => {})])
    force.abort()
    for (const { process: child } of this.#children) child.kill('SIGKILL')
    await all
  }
}
