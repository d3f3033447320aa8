import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { childEnv, defer, NODE_FLAGS, ROOT, spawnProgram, temporaryDirectory, within } from '../support/index.ts'
import type { Exit, Program, Scope } from '../support/index.ts'

const MAIN = join(ROOT, 'src', 'cli', 'main.ts')

/** A running `conclave`, for tests that look at it, feed it or end it while it runs. */
export interface Running {
  readonly process: ChildProcess
  readonly stdout: () => string
  readonly stderr: () => string
  readonly exit: Promise<Exit>
  readonly kill: (signal: NodeJS.Signals) => Promise<Exit>
}

export function startConclave(t: Scope, args: readonly string[], env: Record<string, string> = {}): Running {
  const child = spawn(process.execPath, [...NODE_FLAGS, MAIN, ...args], {
    cwd: ROOT,
    env: childEnv(env),
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  child.stdin.on('error', () => {})
  const exit = new Promise<Exit>((resolve) => child.once('close', (code, signal) => resolve({ code, signal })))
  defer(t, async () => {
    child.kill('SIGKILL')
    await exit
  })
  const kill = (signal: NodeJS.Signals): Promise<Exit> => {
    child.kill(signal)
    return within(exit, `conclave ${args.join(' ')} to end after ${signal}`)
  }
  return { process: child, stdout: () => stdout, stderr: () => stderr, exit, kill }
}

/** The whole command as a shell runs it, for pipes. */
export function shellCommand(args: string): string {
  const quoted = [process.execPath, ...NODE_FLAGS, MAIN].map((word) => `'${word}'`)
  return `${quoted.join(' ')} ${args}`
}

/** A member that may become primary. It does what it is sent: `{ do: 'publish', … }`. */
export async function startMember(t: Scope, folder: string, name = 'editor'): Promise<Program> {
  const program = spawnProgram(t, join(ROOT, 'test', 'cli', 'programs', 'member.ts'), [folder, name])
  await program.ready()
  return program
}

/** Files of a few hundred bytes in nested folders, with some that a walk must leave out. */
export function makeTree(t: Scope, files: number): string {
  const tree = temporaryDirectory(t, 'tree')
  for (let i = 0; i < files; i++) {
    const folder = join(tree, `a${i % 7}`, `b${i % 3}`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, `file-${i}.txt`), `${'content '.repeat(i % 50)}${i}`)
  }
  return tree
}

export function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '')
}

/** The JSON that a command printed: exactly one object, on one line. */
export function onlyJson(stdout: string): Record<string, unknown> {
  const lines = linesOf(stdout)
  if (lines.length !== 1) throw new Error(`${lines.length} lines instead of one: ${stdout}`)
  return JSON.parse(lines[0]!) as Record<string, unknown>
}

export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Children of a process, on Linux; elsewhere none are known. */
export function childrenOf(pid: number): number[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'latin1')
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
        return parent === pid ? [Number(name)] : []
      } catch {
        return []
      }
    })
}
