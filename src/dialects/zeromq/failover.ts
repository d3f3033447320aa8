import { asError, ConclaveError } from '../../errors/index.ts'
import { BackOff, sleep } from '../../election/wait.ts'
import { Later } from '../shared/abort.ts'
import type { Client } from './client.ts'
import type { Subscription } from './subscription.ts'
import { WATCH_FIRST_MS, WATCH_LAST_MS } from './limits.ts'
import { acquireLock, type AcquireOptions, type BusLock } from './lock-file.ts'
import { addressOf, type LockInfo } from './lock-info.ts'
import { SHUTDOWN } from './probe.ts'

/** Why a primary is taken for gone: it said so, its connection was lost, or it was silent for too long. */
export type LossReason = 'shutdown' | 'disconnected' | 'silent' | 'absent'

export interface WatchOptions extends Omit<AcquireOptions, 'must' | 'signal'> {
  /** Subscribes to the primary's notices. The watcher does not close it. */
  readonly client: Client
  readonly workdir: string
  /** What is written into the lock file when the lock is got. */
  readonly instanceId: string
  readonly pubPort?: number | undefined
  readonly rpcPort?: number | undefined
  /** Silence that counts as death. Default: none does; existing programs use 15 s (`FAILOVER_TIMEOUT_MS`) when they are asked to. */
  readonly timeoutMs?: number | undefined
  /** This process is the primary now and holds the lock: start the bus. When it throws, the lock is given up, and the watch goes on. */
  readonly onPromoted: (promotion: Promotion) => unknown
  /** Another process is. Also called for the first one that is found. */
  readonly onPrimary?: ((info: LockInfo) => void) | undefined
  readonly onLost?: ((reason: LossReason, info: LockInfo) => void) | undefined
  readonly onError?: ((error: Error) => void) | undefined
}

export interface Promotion {
  readonly lock: BusLock
  readonly info: LockInfo
}

/** Watches the primary of a directory until this process is the primary, or `close`. */
export interface FailoverWatcher extends AsyncDisposable {
  /** Resolves with the promotion; `undefined` when it was closed before. Never rejects. */
  readonly promoted: Promise<Promotion | undefined>
  close(): Promise<void>
}

/**
 * Tries for the lock of a directory; while somebody else has it, listens to that primary's notices, and tries again when it
 * shuts down, when its connection is lost, and, with `timeoutMs`, when it is silent. The lock that was got is kept: nobody
 * else can have it between winning and serving.
 */
export function watchPrimary(options: WatchOptions): FailoverWatcher {
  const end = new AbortController()
  const promoted = new Later<Promotion | undefined>()
  const running = watch(options, end.signal).then(
    (promotion) => promoted.resolve(promotion),
    () => promoted.resolve(undefined),
  )
  const close = async (): Promise<void> => {
    end.abort()
    await running
  }
  return { promoted: promoted.promise, close, [Symbol.asyncDispose]: close }
}

async function watch(options: WatchOptions, signal: AbortSignal): Promise<Promotion | undefined> {
  const { workdir, instanceId, pubPort = 0, rpcPort = 0, onPromoted, onPrimary, onLost, onError } = options
  const pauses = new BackOff(WATCH_FIRST_MS, WATCH_LAST_MS)
  let known: string | undefined
  while (!signal.aborted) {
    try {
      const { isPrimary, info, lock } = await acquireLock(workdir, instanceId, pubPort, rpcPort, { ...options, signal })
      if (isPrimary) {
        try {
          await onPromoted({ lock, info })
          return { lock, info }
        } catch (error) {
          lock.close()
          throw error
        }
      }
      const identity = `${info.instanceId} ${info.pid} ${info.startedAt}`
      if (identity !== known) onPrimary?.(info)
      known = identity
      const reason = await lossOf(options, info, signal, () => pauses.reset())
      if (signal.aborted) return undefined
      onLost?.(reason, info)
    } catch (error) {
      if (signal.aborted) return undefined
      if (!ConclaveError.is(error, 'PRIMARY_STARTING')) onError?.(asError(error))
    }
    // The lock of one that died may be held a moment longer than its sockets (rule A9), and who took it may not serve yet.
    await sleep(pauses.next(), { signal })
  }
  return undefined
}

/** Resolves when the primary seems to be gone. */
async function lossOf(
  { client, timeoutMs = Infinity }: WatchOptions,
  info: LockInfo,
  signal: AbortSignal,
  serves: () => void,
): Promise<LossReason> {
  const lost = new Later<LossReason>()
  const onAbort = (): void => lost.resolve('absent')
  signal.addEventListener('abort', onAbort)
  let subscription: Subscription | undefined
  let silence: NodeJS.Timeout | undefined
  try {
    subscription = await client.subscribe(addressOf(info), ['instance.'], {
      signal,
      onNotice: ({ type }) => {
        if (type === 'disconnected') lost.resolve('disconnected')
      },
    })
    serves()
    const over = (timer: NodeJS.Timeout): void => {
      if (timer === silence) lost.resolve('silent')
    }
    const hear = (): void => {
      if (!Number.isFinite(timeoutMs)) return
      clearTimeout(silence)
      const mine = setTimeout(() => {
        // What came while this process was busy is read before the second check phase (rule B1), and begins anew.
        setImmediate(() => setImmediate(() => over(mine)))
      }, timeoutMs)
      silence = mine
    }
    hear()
    void follow(subscription, info, hear, lost)
    return await lost.promise
  } catch (error) {
    if (ConclaveError.is(error, 'DISCONNECTED', 'TIMEOUT', 'ABORTED')) return 'absent'
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
    clearTimeout(silence)
    subscription?.close()
  }
}

async function follow(
  subscription: Subscription,
  info: LockInfo,
  hear: () => void,
  lost: Later<LossReason>,
): Promise<void> {
  for await (const { topic, instanceId } of subscription) {
    hear()
    if (topic === SHUTDOWN && instanceId === info.instanceId) lost.resolve('shutdown')
  }
}
