import { findWorkspace as find } from '../election/index.ts'
import type { EngineStatus } from '../engine/engine.ts'
import { LocalEngine } from '../engine/local/local-engine.ts'
import type { StopWork } from '../engine/local/primary-work.ts'
import { ConclaveError } from '../errors/index.ts'
import type { Contract } from '../rpc/contract.ts'
import { util } from '../platform/builtins.ts'
import { checkNode } from '../platform/node-version.ts'
import { posixPlatform } from '../platform/posix.ts'
import { JOIN_TIMEOUT_MS } from './limits.ts'
import { ListenerTurns } from './listening.ts'
import { asMember, MemberView, type Own } from './member.ts'
import type { DatabaseGiven } from './member-database.ts'
import { checkOptions } from './options.ts'
import { openPlace } from './place.ts'
import { DUTY } from './scope.ts'
import type { FindWorkspace, Join, JoinOptions, Logger, Member, Start, Stop } from './types.ts'

/**
 * Joins the workspace of a folder: becomes its primary, or links to the one there is.
 *
 * @throws `INVALID_OPTION`, `UNSUPPORTED`, `NO_PRIMARY`, `PRIMARY_EXISTS`, `PRIMARY_STARTING`, `PRIMARY_UNRESPONSIVE`,
 * `PRIMARY_UNREACHABLE`, `REMOTE_PRIMARY`, `SUPERSEDED`, `VERSION_MISMATCH`, `FOREIGN_WORKSPACE`, `UNSAFE_WORKSPACE`,
 * `WORKSPACE_READ_ONLY`, `LOCK_UNRELIABLE`, `PROFILE_MISMATCH`, `DATABASE_IN_USE`, `MIGRATION_FAILED`, `PATH_TOO_LONG`, `SETUID_REFUSED`, `ABORTED`, and what `whilePrimary` throws
 */
export const join: Join = async (place, options) => {
  const given = (options ?? {}) as unknown as JoinOptions<Contract, Record<string, unknown>, never>
  checkNode()
  const checked = checkOptions(given)
  const opened = openPlace(place, { app: given.app, create: checked.primary !== 'never' })
  const { workspace, transport, pid } = opened
  const { contract, methods, whilePrimary, signal } = given
  const database =
    given.database === undefined
      ? undefined
      : await (
          await import('./member-database.ts')
        ).prepareDatabase(workspace, given.database as DatabaseGiven, contract)
  const engine: LocalEngine = new LocalEngine({
    ...checked,
    workspace,
    transport,
    pid,
    database: database?.primary,
    whilePrimary:
      whilePrimary === undefined
        ? undefined
        : (term) => begin(whilePrimary as Start<Duty>, { member: asMember(duty), term }, engine.closed, signal),
  })
  const own: Own = { refusedPublishes: 0, turns: new ListenerTurns(), database: database?.open(engine) }
  const view = new MemberView(engine, contract, undefined, own)
  const duty = new MemberView(engine, contract, DUTY, own)
  log(engine, given.logger)
  if (methods !== undefined) view.offer(methods)
  opened.joining?.(engine.self.id, (reason) => engine.abort(reason))
  const deadline = engine.now() + JOIN_TIMEOUT_MS
  await engine.join(deadline, signal)
  // One round trip: what is offered is known to the switchboard when the program goes on.
  if (methods !== undefined && engine.role === 'secondary') await engine.inspect(deadline, signal).catch(() => {})
  for (const error of workspace.warnings) given.logger?.warn({ code: error.code }, error.message)
  if (signal !== undefined) closeOnAbort(view, signal)
  // The joining program has its member before any handler runs.
  setImmediate(() => engine.open())
  return asMember(view)
}

/** The nearest folder upwards that is a workspace, as git finds its repository; `undefined` if none is. */
export const findWorkspace: FindWorkspace = (from, options = {}) => find(posixPlatform(), from, options)

interface Duty {
  readonly member: Member
  readonly term: number
}

/** One that never begins must not keep a member that is to end. */
async function begin(
  start: Start<Duty>,
  duty: Duty,
  closed: Promise<unknown>,
  signal: AbortSignal | undefined,
): Promise<StopWork> {
  const controller = new AbortController()
  const starting = (async () => start({ ...duty, signal: controller.signal }))()
  let onAbort = (): void => {}
  const over = new Promise<'over'>((resolve) => {
    onAbort = () => resolve('over')
    void closed.then(onAbort)
    signal?.addEventListener('abort', onAbort, { once: true })
    if (signal?.aborted === true) onAbort()
  })
  const stop = await Promise.race([starting.then((begun) => [begun] as const), over]).finally(() => {
    signal?.removeEventListener('abort', onAbort)
  })
  if (stop === 'over') {
    controller.abort()
    starting.then(end).catch(() => {})
    throw new ConclaveError('ABORTED', 'The member ended while whilePrimary began.', { cause: signal?.reason })
  }
  return async () => {
    controller.abort()
    await end(stop[0])
  }
}

async function end(stop: Stop): Promise<void> {
  if (stop === undefined || stop === null) return
  if (typeof stop === 'function') await stop()
  else if (Symbol.asyncDispose in stop) await stop[Symbol.asyncDispose]()
  else stop[Symbol.dispose]()
}

function closeOnAbort(view: MemberView, signal: AbortSignal): void {
  const close = (): void => void view.close()
  if (signal.aborted) close()
  signal.addEventListener('abort', close, { once: true })
  void view.closed.then(() => signal.removeEventListener('abort', close))
}

function log(engine: LocalEngine, logger: Logger | undefined): void {
  const debug = util.debuglog('conclave')
  if (logger === undefined && !debug.enabled) return
  engine.onStatus((status) => {
    debug('%s %j', engine.self.name, status)
    if (logger !== undefined) record(logger, engine.self.name, status)
  })
}

function record(logger: Logger, member: string, status: EngineStatus): void {
  if (status.type === 'warning') logger.warn({ member, code: status.error.code }, status.error.message)
  else if (status.type === 'dropped') logger.warn({ member, ...status }, 'events were dropped')
  else if (status.type === 'primary-lost') logger.warn({ member, ...status }, 'the primary was lost')
  else logger.info({ member, ...status }, status.type)
}
