import { spawn } from 'node:child_process'
import { ConclaveError } from '../../errors/index.ts'
import { errnoOf } from '../../election/files.ts'
import { programFile } from '../../platform/package.ts'
import { pause, within } from '../shared/abort.ts'
import { privateDirectory, type Place } from '../shared/place.ts'
import { probe } from './client.ts'
import { REMOTE_TIMEOUT_MS, START_POLL_MS, START_TIMEOUT_MS } from './limits.ts'
import type { StatusResponse } from './messages.ts'
import { busFiles } from './paths.ts'

/** How a bus is started when none answers. */
export interface StartOptions {
  /** A program and its arguments, run detached with null standard streams. It must listen at the socket. */
  readonly command?: readonly string[] | undefined
  /** Without `command`: modules (absolute paths or file URLs) whose `source` export is attached to a bus of ours; see `SourceRunner`. */
  readonly sources?: readonly (string | URL)[] | undefined
  /** Without `command`: keys that one consumer at a time may have. */
  readonly exclusive?: readonly string[] | undefined
  /** Without `command`: the bus ends after so long without consumers. Default 30 s. */
  readonly idleExitMs?: number | undefined
  readonly env?: NodeJS.ProcessEnv | undefined
  /** How long the bus may take to answer. Default 3 s. */
  readonly startTimeoutMs?: number | undefined
  /** How many are connected at the remote side: above 0 no bus is started. Asked before; its failure is ignored. */
  readonly remoteConnections?: ((context: { readonly signal: AbortSignal }) => Promise<number>) | undefined
  /** Default 5 s. */
  readonly remoteTimeoutMs?: number | undefined
}

export interface EnsureOptions {
  readonly start?: StartOptions | undefined
  readonly probeTimeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/**
 * The status of the bus at the socket. When nobody answers and `start` is given, one is started: by exactly one of those
 * who come here at once, under a lock, while the others wait for it.
 * @throws `DISCONNECTED` (nobody there), `TIMEOUT` (a bus that does not answer, or that did not start in time),
 * `CONFLICT` (the remote side has a connection), `ABORTED`
 */
export async function ensureBus(place: Place, socket: string, options: EnsureOptions): Promise<StatusResponse> {
  const { start, signal, probeTimeoutMs: timeoutMs } = options
  const ask = (): Promise<StatusResponse> => probe(place, socket, { timeoutMs, signal })
  let cause: unknown
  try {
    return await ask()
  } catch (error) {
    if (start === undefined || !isAbsent(error)) throw error
    cause = error
  }
  await checkRemote(start, signal)
  const files = busFiles(socket)
  privateDirectory(place.platform, files.directory)
  const limitMs = start.startTimeoutMs ?? START_TIMEOUT_MS
  const endMs = performance.now() + limitMs
  let lock = place.platform.tryLock(files.forkLock)
  try {
    let started = false
    for (;;) {
      // A process that stood still asks once more.
      const late = performance.now() >= endMs
      // Also before starting: whoever held the lock before us has just started one.
      try {
        return await ask()
      } catch (error) {
        if (!isAbsent(error)) throw error
        cause = error
      }
      if (late) throw notStarted(socket, limitMs, cause)
      lock ??= place.platform.tryLock(files.forkLock)
      if (lock !== undefined && !started) {
        started = true
        await startBus(socket, start)
      }
      await pause(START_POLL_MS, signal)
    }
  } finally {
    lock?.close()
  }
}

/** Nobody there, or somebody who is just ending: as opposed to a bus that hangs, or belongs to another user. */
function isAbsent(error: unknown): boolean {
  return ConclaveError.is(error, 'DISCONNECTED') && errnoOf(error) !== 'EAGAIN'
}

async function checkRemote(start: StartOptions, signal: AbortSignal | undefined): Promise<void> {
  if (start.remoteConnections === undefined) return
  const timeoutMs = start.remoteTimeoutMs ?? REMOTE_TIMEOUT_MS
  const stop = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(signal === undefined ? [] : [signal])])
  let count = 0
  try {
    count = await within(start.remoteConnections({ signal: stop }), { timeoutMs, signal, what: 'The remote side' })
  } catch (error) {
    if (ConclaveError.is(error, 'ABORTED')) throw error
  }
  if (count <= 0) return
  const text = `The remote side has ${count} connections already: another machine runs a bus for this app.`
  throw new ConclaveError('CONFLICT', text, { data: { connections: count } })
}

/** In a session of its own, so that it outlives us and our terminal. */
async function startBus(socket: string, start: StartOptions): Promise<void> {
  const [command, ...args] = start.command ?? ownCommand(socket, start)
  const child = spawn(command as string, args, { detached: true, stdio: 'ignore', env: start.env ?? process.env })
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve)
    child.once('error', (cause) => {
      reject(new ConclaveError('INTERNAL', `The bus could not be started (${command}): ${cause.message}.`, { cause }))
    })
  })
  child.unref()
}

function ownCommand(socket: string, { sources = [], exclusive = [], idleExitMs }: StartOptions): string[] {
  const daemon = programFile('dialects/eventbus/daemon')
  const modules = sources.map((source) => (source instanceof URL ? source.href : source))
  const flags = process.execArgv.filter((flag) => /^(?:--conditions=|--experimental-strip-types$)/.test(flag))
  return [process.execPath, ...flags, daemon, JSON.stringify({ socket, sources: modules, exclusive, idleExitMs })]
}

function notStarted(socket: string, limitMs: number, cause: unknown): ConclaveError {
  const text = `A bus was started, but nobody answers at ${socket} after ${limitMs} ms: its log lies beside the socket.`
  return new ConclaveError('TIMEOUT', text, { cause })
}
