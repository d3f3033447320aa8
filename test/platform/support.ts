import { spawn, spawnSync, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

/** Somebody else, for tests that run as root. */
export const STRANGER = 54_321
export const isRoot: boolean = process.geteuid?.() === 0

/** A reason to skip a test, or false. */
export const needsRoot: string | false = isRoot ? false : 'only root can give files to another user'
export const needsLinux: string | false = process.platform === 'linux' ? false : 'looks into /proc'
export const needsCompiler: string | false =
  process.platform === 'linux' && spawnSync('cc', ['--version']).status === 0 ? false : 'needs Linux and cc'

/** A directory of the test's own, removed after it. `forAll`: one that another user can reach into. */
export function temporaryDirectory(context: TestContext, options: { forAll?: boolean } = {}): string {
  const parent = options.forAll === true ? '/tmp' : tmpdir()
  const directory = realpathSync(mkdtempSync(join(parent, 'conclave-')))
  if (options.forAll === true) chmodSync(directory, 0o711)
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

export interface Program {
  readonly child: ChildProcess
  /** The next line it prints; rejects when it ends first. */
  line(): Promise<string>
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
}

/** Starts a file of test/<room>/programs; killed after the test. */
export function startProgram(context: TestContext, path: string, args: string[], options: SpawnOptions = {}): Program {
  const file = fileURLToPath(new URL(`../${path}`, import.meta.url))
  return start(context, process.execPath, ['--conditions=source', file, ...args], options)
}

export function start(context: TestContext, command: string, args: string[], options: SpawnOptions = {}): Program {
  const child = spawn(command, args, { ...options, stdio: ['pipe', 'pipe', 'inherit'] })
  const ended = once(child, 'exit').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
  }))
  context.after(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
  const line = async (): Promise<string> => {
    const { value, done } = await lines.next()
    if (done === true) throw new Error(`${args.join(' ')} ended before it said anything more.`)
    return value
  }
  return { child, line, ended }
}
