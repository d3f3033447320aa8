import { posix as path } from 'node:path'
import { ConclaveError } from '../errors/index.ts'
import type { Workspace } from '../election/workspace.ts'
import type { Lock } from '../platform/platform.ts'
import { untilFree, type Patience } from './busy.ts'
import { Coordinator, type CoordinatorOptions } from './coordinator.ts'
import { fileIdentity, makePrivate, resolveDatabase } from './database-file.ts'
import { lockDatabase } from './database-lock.ts'
import { nodeSqlite, type Connection, type Driver } from './driver.ts'
import { CHECKPOINT_PAGES, OPEN_TIMEOUT_MS } from './limits.ts'
import { LocalWriter } from './local-writer.ts'
import { applyMigration, checkMigrations, checksumOf } from './migrations.ts'
import { compareProfile, readProfile, writeProfile, type Profile } from './profile.ts'
import { raiseTerm, readTerm, staleTerm } from './schema.ts'
import type { Durability, Migration, Procedures } from './types.ts'
import { WriterEnd, type WriterEvents } from './writer.ts'

/** `join({ database })`, as the room takes it. */
export interface DatabaseSettings {
  /** Relative to the workspace's folder. Default `data.db` beside its lock. */
  readonly file?: string | undefined
  readonly durability?: Durability | undefined
  readonly migrations?: readonly Migration[] | undefined
  readonly procedures?: Procedures | undefined
  /** Default: node:sqlite. One for reads and writes alike (rule A5). */
  readonly driver?: (() => Promise<Driver>) | undefined
}

export interface OpenedOptions extends DatabaseSettings {
  readonly workspace: Workspace
  readonly signal?: AbortSignal | undefined
}

export interface ServeOptions extends WriterEvents, Pick<CoordinatorOptions, 'onLost' | 'onReport' | 'limits'> {
  /** Of the seat, raised above `OpenedDatabase.term`. */
  readonly term: number
  /** `dev:ino` of the workspace's lock. */
  readonly lock: string
  readonly holdsSeat: () => boolean
}

/** Where the database of a workspace lies, by its real path. @throws what `resolveDatabase` throws */
export function databasePath(workspace: Workspace, file: string | undefined): string {
  const given = file ?? path.join(workspace.directory, 'data.db')
  return resolveDatabase(workspace.platform, workspace.folder, given).path
}

/** What a member with these settings brings (rule A7). */
export function profileOf(workspace: Workspace, settings: DatabaseSettings): Profile {
  return {
    file: databasePath(workspace, settings.file),
    durability: settings.durability ?? 'normal',
    migrations: (settings.migrations ?? []).map(checksumOf),
  }
}

/** Whether a member with these settings may stand (rule A7); `undefined` for a member without a database. @throws `PROFILE_MISMATCH` */
export function mayStand(workspace: Workspace, settings: DatabaseSettings | undefined): boolean {
  const own = settings === undefined ? undefined : profileOf(workspace, settings)
  const compared = compareProfile(readProfile(workspace), own)
  if (compared.verdict === 'mismatch') throw compared.error
  return compared.verdict === 'covers'
}

/**
 * The database in the hands of who holds the workspace's lock, between taking the seat and serving:
 * `openDatabase` - `seat.raiseAbove(term)` - `serve` - and at the end `close`, before the lock is released.
 */
export class OpenedDatabase {
  readonly path: string
  /** The highest term in it; 0 for a new file. */
  readonly term: number
  readonly sqliteVersion: string
  /** For people. */
  readonly warnings: readonly ConclaveError[]
  readonly #options: OpenedOptions
  readonly #connection: Connection
  readonly #lock: Lock
  readonly #identity: string | undefined
  #writer: LocalWriter | undefined
  #coordinator: Coordinator | undefined
  #closed = false

  /** Use `openDatabase`. */
  constructor(
    options: OpenedOptions,
    held: {
      readonly path: string
      readonly term: number
      readonly driver: Driver
      readonly warnings: readonly ConclaveError[]
      readonly connection: Connection
      readonly lock: Lock
    },
  ) {
    this.#options = options
    this.path = held.path
    this.term = held.term
    this.sqliteVersion = held.driver.version
    this.warnings = held.warnings
    this.#connection = held.connection
    this.#lock = held.lock
    this.#identity = fileIdentity(options.workspace.platform, held.path)
  }

  /**
   * Raises the term in the file (rule B8), migrates, records the profile (rule A7).
   * @throws `STALE_TERM`, `LOCK_LOST`, `MIGRATION_FAILED`, `PROFILE_MISMATCH`, `ASYNC_PROCEDURE`; `close` undoes the rest
   */
  async serve(serving: ServeOptions): Promise<Coordinator> {
    const { workspace, migrations = [], durability = 'normal', procedures = new Map() } = this.#options
    const { term, lock } = serving
    const connection = this.#connection
    const patience = this.#patience()
    const now = (): number => workspace.platform.now()
    const lost = (): ConclaveError | undefined => this.#lost(serving)
    const mayCommit = (): void => {
      const gone = lost()
      if (gone !== undefined) throw gone
      const recorded = readTerm(connection)
      if (recorded?.term !== term) throw staleTerm(term, recorded)
    }
    await untilFree(() => raiseTerm(connection, { term, lock }), patience)
    // Once more: the primary that served when the file was opened may have migrated it until the term was raised.
    for (let at = checkMigrations(connection, migrations); at < migrations.length; at++) {
      await untilFree(() => applyMigration(connection, migrations, at, mayCommit), patience)
      await new Promise((resolve) => setImmediate(resolve))
    }
    const { onChanges, onForeignWrite } = serving
    const options = { connection, term, lock, procedures, now, lost, onChanges, onForeignWrite }
    this.#writer = await untilFree(() => new LocalWriter(options), patience)
    await this.#forget(this.#writer)
    writeProfile(workspace, { file: this.path, durability, migrations: migrations.map(checksumOf) })
    const { onLost, onReport, limits } = serving
    this.#coordinator = new Coordinator({ writer: this.#writer, path: this.path, now, onLost, onReport, limits })
    onChanges([{ type: 'resync', reason: 'term' }])
    return this.#coordinator
  }

  /** Whether the file and its lock are still what was opened: once a second, and before each commit (rule A1). */
  check(): boolean {
    const { platform } = this.#options.workspace
    return !this.#closed && this.#lock.stillOurs() && fileIdentity(platform, this.path) === this.#identity
  }

  /** Rolls back what is open, closes the file, gives its lock up. What still waits settles with `error`. Idempotent. */
  async close(error: ConclaveError): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#coordinator?.abandon(error)
    try {
      if (this.#writer === undefined) this.#connection.close()
      else await this.#writer.close()
    } finally {
      this.#lock.close()
    }
  }

  async #forget(writer: LocalWriter): Promise<void> {
    try {
      await writer.forget()
    } catch (error) {
      if (error instanceof WriterEnd) throw error.error
      // Locked by another program, or full: it is tried again each hour.
    }
  }

  #lost({ holdsSeat }: ServeOptions): ConclaveError | undefined {
    if (!holdsSeat()) return lockLost("the workspace's lock was deleted, moved or replaced")
    return this.check() ? undefined : lockLost(`${this.path}, or its lock, was deleted, moved or replaced`)
  }

  #patience(): Patience {
    const { workspace, signal } = this.#options
    const now = (): number => workspace.platform.now()
    return { now, deadline: now() + OPEN_TIMEOUT_MS, signal }
  }
}

/**
 * Locks and opens the file; nothing in it is changed but that it is in WAL mode.
 * @throws `DATABASE_IN_USE`, `INVALID_OPTION`, `LOCK_UNRELIABLE`, `PROFILE_MISMATCH`, `UNSUPPORTED`, `FAILED` (SQLite's own)
 */
export async function openDatabase(options: OpenedOptions): Promise<OpenedDatabase> {
  const { workspace, durability = 'normal', migrations = [], driver: load = nodeSqlite } = options
  const { platform } = workspace
  const given = options.file ?? path.join(workspace.directory, 'data.db')
  const { path: file, warnings } = resolveDatabase(platform, workspace.folder, given)
  const driver = await load()
  const lock = lockDatabase(platform, file, workspace.label)
  let connection: Connection | undefined
  try {
    makePrivate(file)
    const opened = driver.open(file, { readOnly: false })
    connection = opened
    const now = (): number => platform.now()
    const patience = { now, deadline: now() + OPEN_TIMEOUT_MS, signal: options.signal }
    const term = await untilFree(() => {
      checkMigrations(opened, migrations)
      return readTerm(opened)?.term ?? 0
    }, patience)
    await untilFree(() => configure(opened, file, durability), patience)
    return new OpenedDatabase(options, { path: file, term, driver, warnings, connection, lock })
  } catch (error) {
    connection?.close()
    lock.close()
    throw error
  }
}

function configure(connection: Connection, file: string, durability: Durability): void {
  connection.exec('PRAGMA busy_timeout = 0; PRAGMA temp_store = MEMORY; PRAGMA foreign_keys = ON')
  const mode = connection.prepare('PRAGMA journal_mode = WAL').get([])?.['journal_mode']
  if (mode !== 'wal') {
    const text = `${file} can't be brought into WAL mode (it is "${String(mode)}"), without which nobody could read while the primary writes. Is its file system one that shares memory?`
    throw new ConclaveError('LOCK_UNRELIABLE', text)
  }
  // Rule C7: on macOS an fsync alone does not reach the disk.
  const full = durability === 'full' ? 1 : 0
  connection.exec(
    `PRAGMA synchronous = ${durability === 'full' ? 'FULL' : 'NORMAL'}; PRAGMA fullfsync = ${full}; PRAGMA checkpoint_fullfsync = ${full}; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`,
  )
}

function lockLost(why: string): ConclaveError {
  const text = `Nothing was committed: ${why} while this process held it. Join again.`
  return new ConclaveError('LOCK_LOST', text, { outcome: 'unknown' })
}
