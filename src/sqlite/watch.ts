import type { FeedEvent } from './changes.ts'
import { guard } from './guard.ts'
import { WATCH_LOOK_MS } from './limits.ts'
import type { LocalReader } from './reader.ts'
import { tablesRead } from './tables-read.ts'
import type { SqlValue } from './types.ts'

/** Where change events of the workspace come from. */
export type Feed = (listener: (event: FeedEvent) => void) => {
  /** Resolves when every later change is told of. */
  readonly ready: Promise<unknown>
  readonly stop: () => void
}

export interface WatchOptions {
  readonly reader: LocalReader
  readonly feed: Feed
  readonly sql: string
  readonly params?: readonly SqlValue[] | undefined
  readonly signal?: AbortSignal | undefined
  /** Whether the look that repeats keeps the process alive. Default false. */
  readonly ref?: boolean | undefined
}

/**
 * The rows of a query, at once and whenever a table that it reads may have changed. Changes while the last rows were not
 * taken yet are one. A new term, or anything unexplained in the file, reads again (rule B20). Ends with the signal.
 */
export async function* watchQuery<Row>(options: WatchOptions): AsyncGenerator<readonly Row[], void, undefined> {
  const { reader, feed, sql, params = [], signal } = options
  guard(sql, 'read')
  const statement = reader.prepare<Row>(sql)
  let tables = reader.inspect((connection) => tablesRead(connection, sql))
  let stale = true
  let heard = false
  let wake: (() => void) | undefined
  const touch = (): void => {
    stale = true
    wake?.()
  }
  // Before the first read: what is committed between the two shows in the version.
  let version = reader.dataVersion()
  const { ready, stop } = feed((event) => {
    heard = true
    if (event.type === 'resync') {
      tables = undefined
      touch()
    } else if (tables === undefined || tables.has(event.table.toLowerCase())) touch()
  })
  const look = (): void => {
    try {
      const now = reader.dataVersion()
      // What the feed told of explains it; another program's write does not.
      if (now !== version && !heard) touch()
      version = now
      heard = false
    } catch {
      touch()
    }
  }
  ready.then(look, () => {})
  const timer = setInterval(look, WATCH_LOOK_MS)
  if (options.ref !== true) timer.unref()
  const onAbort = (): void => wake?.()
  signal?.addEventListener('abort', onAbort, { once: true })
  try {
    while (signal?.aborted !== true) {
      if (stale) {
        stale = false
        tables ??= reader.inspect((connection) => tablesRead(connection, sql))
        yield statement.all(...params)
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        wake = undefined
      }
    }
  } finally {
    stop()
    clearInterval(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}
