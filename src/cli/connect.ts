import { oneTurn, openWorkspace, readPrimary } from '../election/index.ts'
import { ConclaveError } from '../errors/index.ts'
import { findWorkspace, join, type Member } from '../index.ts'
import { posixPlatform } from '../platform/index.ts'
import type { Given } from './args.ts'
import { Interrupted } from './exit.ts'

/** A primary that is there and does not answer is waited for so long. */
const ANSWER_MS = 5_000
const CLOSE_MS = 1_000

export interface ConnectOptions {
  /** The folder, when the verb has it as a word. */
  readonly folder?: string | undefined
  readonly signal: AbortSignal
}

/** Runs with a member of the nearest workspace upwards; it is closed afterwards, also when interrupted. */
export async function withMember<T>(
  given: Given,
  options: ConnectOptions,
  work: (member: Member) => Promise<T>,
): Promise<T> {
  const { signal } = options
  const member = await connect(given, options)
  try {
    return await work(member)
  } catch (error) {
    throw signal.aborted ? interruptionOf(signal) : error
  } finally {
    await member.close({ timeoutMs: CLOSE_MS })
  }
}

export function interruptionOf(signal: AbortSignal): Interrupted {
  return signal.reason instanceof Interrupted ? signal.reason : new Interrupted(undefined)
}

/**
 * A member that never stands for election and never touches the lock.
 * @throws `NO_PRIMARY` when there is none, what `openWorkspace` refuses, `PRIMARY_UNRESPONSIVE` and others when it cannot be reached, `Interrupted`
 */
async function connect(given: Given, { folder, signal }: ConnectOptions): Promise<Member> {
  const from = folder ?? given.text('dir') ?? '.'
  const app = given.text('app')
  const waitMs = given.number('wait') ?? 0
  const found = findWorkspace(from, { app })
  if (found === undefined && waitMs === 0) {
    // One that is there and refused (open to others, another user's) is not nobody's.
    openWorkspace(posixPlatform(), from, { app, create: false })
    const what = app === undefined ? '' : ` of app ${app}`
    const text = `Neither ${from} nor a folder above it is a workspace${what}: nobody has joined there yet.`
    throw new ConclaveError('NO_PRIMARY', text)
  }
  const place = found ?? from
  // join() would close the member whenever its signal aborts: it gets one that is ours until it has joined.
  const joining = new AbortController()
  let over = false
  const stop = (): void => {
    if (!over) joining.abort()
  }
  // A turn of the loop later: an answer that came while we were stopped is read before the timer counts (rule B1).
  const patience = setTimeout(() => void oneTurn().then(stop), waitMs + ANSWER_MS)
  signal.addEventListener('abort', stop)
  if (signal.aborted) stop()
  try {
    return await join(place, { name: 'conclave', app, primary: 'never', waitMs, signal: joining.signal })
  } catch (error) {
    if (signal.aborted) throw interruptionOf(signal)
    throw joining.signal.aborted ? unresponsive(place, app, error) : error
  } finally {
    over = true
    clearTimeout(patience)
    signal.removeEventListener('abort', stop)
  }
}

function unresponsive(place: string, app: string | undefined, cause: unknown): ConclaveError {
  const workspace = openWorkspace(posixPlatform(), place, { app, create: false })
  const sight = readPrimary(workspace)
  const { name, pid, term } = sight.state === 'absent' ? { name: '?', pid: 0, term: 0 } : sight.announcement
  const text = `The primary of ${workspace.label} ("${name}", pid ${pid}, term ${term}) did not answer within ${ANSWER_MS / 1000} s: it is stopped, in a debugger or busy. Continue it (kill -CONT ${pid}) or end it.`
  return new ConclaveError('PRIMARY_UNRESPONSIVE', text, { cause })
}
