import { readFileSync, statSync } from 'node:fs'
import { WAL_LOOK_MS, WAL_MAX_BYTES, WAL_REPORT_BYTES, WAL_RETRY_MS, WAL_TRUNCATE_BYTES } from './limits.ts'

/** Its size by stat(2): never opened, or SQLite's locks were gone (rule A5). */
export function walBytes(path: string): number {
  return statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0
}

/**
 * The bytes of `-shm` that hold the locks of readers whose snapshot is in the WAL: 120 is the writer's, 121 and 122 the
 * checkpointer's and recovery's, 123 that of readers who need no WAL.
 */
const FIRST_READER = 124
const LAST_READER = 127

/**
 * The processes that keep the WAL from being cut (rule B9), as /proc/locks names them; `undefined` where there is no such
 * thing. A process is listed while a read of it runs: an idle connection holds no such lock.
 */
export function walHolders(path: string): readonly number[] | undefined {
  const inode = statSync(`${path}-shm`, { throwIfNoEntry: false })?.ino
  if (inode === undefined) return []
  let locks: string
  try {
    locks = readFileSync('/proc/locks', 'latin1')
  } catch {
    return undefined
  }
  return parseLocks(locks, inode)
}

export function parseLocks(locks: string, inode: number): number[] {
  const pids = new Set<number>()
  for (const line of locks.split('\n')) {
    const match = /^\d+: POSIX +\w+ +READ +(\d+) [0-9a-f]+:[0-9a-f]+:(\d+) (\d+) (\d+)$/.exec(line.trim())
    if (match === null || Number(match[2]) !== inode) continue
    if (Number(match[3]) <= LAST_READER && Number(match[4]) >= FIRST_READER) pids.add(Number(match[1]))
  }
  return [...pids]
}

/** The WAL has passed the size from which it is reported. `holders`: who reads an old snapshot. */
export interface WalReport {
  readonly bytes: number
  readonly holders: readonly number[] | undefined
}

export interface WalLimits {
  readonly truncateBytes: number
  readonly reportBytes: number
  readonly maxBytes: number
}

export interface WalWatchOptions {
  readonly path: string
  readonly now: () => number
  /** Cuts it, if no reader needs it. */
  readonly truncate: () => Promise<void>
  readonly onReport: (report: WalReport) => void
  readonly limits?: Partial<WalLimits> | undefined
}

/** Keeps the WAL bounded, whoever reads (rules B9, B10). */
export class WalWatch {
  readonly #options: WalWatchOptions
  readonly #limits: WalLimits
  #bytes = 0
  #looked = -Infinity
  #tried = -Infinity
  #reported = false
  #holders: readonly number[] | undefined = []

  constructor(options: WalWatchOptions) {
    this.#options = options
    this.#limits = {
      truncateBytes: WAL_TRUNCATE_BYTES,
      reportBytes: WAL_REPORT_BYTES,
      maxBytes: WAL_MAX_BYTES,
      ...options.limits,
    }
  }

  /** As last seen. */
  get bytes(): number {
    return this.#bytes
  }

  /** Who kept it from being cut when that was last tried. */
  get holders(): readonly number[] | undefined {
    return this.#holders
  }

  /** No more writes until a reader lets go. */
  get full(): boolean {
    return this.#bytes >= this.#limits.maxBytes
  }

  /** Between two transactions. Looks now and then, cuts when it is long, reports when that fails. */
  async look(): Promise<void> {
    const { path, now, truncate, onReport } = this.#options
    const at = now()
    if (at - this.#looked < WAL_LOOK_MS) return
    this.#looked = at
    this.#bytes = walBytes(path)
    if (this.#bytes < this.#limits.truncateBytes) {
      this.#holders = []
      this.#reported = false
      return
    }
    const unsaid = this.#bytes >= this.#limits.reportBytes && !this.#reported
    if (at - this.#tried < WAL_RETRY_MS && !unsaid) return
    this.#tried = at
    await truncate()
    this.#bytes = walBytes(path)
    this.#holders = this.#bytes < this.#limits.truncateBytes ? [] : walHolders(path)
    if (this.#bytes < this.#limits.reportBytes) return
    this.#reported = true
    onReport({ bytes: this.#bytes, holders: this.#holders })
  }
}
