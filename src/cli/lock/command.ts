import { spawn } from 'node:child_process'
import { isatty } from 'node:tty'
import { EXIT, signalCode } from '../exit.ts'
import type { Surroundings } from '../verb.ts'

/** A terminal sends these to the command as well: passing them on would deliver them twice. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGHUP']
const FROM_PROCESSES: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGUSR2', 'SIGCONT', 'SIGWINCH']

/** Runs it with our standard streams to its end; signals go on to it. @returns its exit code, 128+n for a signal */
export async function runCommand(
  command: string,
  args: readonly string[],
  { err, takeSignals }: Surroundings,
): Promise<number> {
  const child = spawn(command, args, { stdio: 'inherit' })
  // Not process.stdin: to look at it opens it, and the command, which shares it, would find it non-blocking (EAGAIN).
  const onTerminal = [0, 1, 2].some((stream) => isatty(stream))
  takeSignals(FROM_PROCESSES, (signal) => child.kill(signal))
  takeSignals(FROM_TERMINAL, (signal) => void (onTerminal || child.kill(signal)))
  return new Promise((resolve, reject) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      if (child.pid !== undefined) reject(error)
      else void err.line(`conclave: ${refusal(command, error)}`).then(() => resolve(codeOf(error)))
    })
    child.once('exit', (code, signal) => resolve(signal === null ? (code ?? EXIT.error) : signalCode(signal)))
  })
}

function codeOf({ code }: NodeJS.ErrnoException): number {
  return code === 'ENOENT' ? EXIT.noCommand : EXIT.cannotRun
}

function refusal(command: string, error: NodeJS.ErrnoException): string {
  const why = error.code === 'ENOENT' ? 'there is no such command' : (error.code ?? error.message)
  return `${command} cannot be run: ${why}.`
}
