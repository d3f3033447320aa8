import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { openWorkspace, type Workspace } from '../../src/election/index.ts'
import { ConclaveError, type Code, type Outcome } from '../../src/errors/index.ts'
import { posixPlatform, type Platform } from '../../src/platform/index.ts'
import {
  nodeSqlite,
  openDatabase,
  WriteClient,
  type Connection,
  type Coordinator,
  type DatabaseSettings,
  type FeedEvent,
  type OpenedDatabase,
  type Report,
  RequestContext,
  type ServeOptions,
} from '../../src/sqlite/index.ts'
import { defer, temporaryDirectory, type Scope } from '../support/index.ts'

export const TABLE = 'CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT UNIQUE)'

export const now = (): number => Number(process.hrtime.bigint()) / 1e6

/** Stands for an error of ours. */
export function code(expected: Code, outcome?: Outcome, ...words: RegExp[]): (error: unknown) => boolean {
  return (error) => {
    assert(ConclaveError.is(error), `not an error of ours: ${String((error as Error).stack)}`)
    assert.equal(error.code, expected, error.message)
    if (outcome !== undefined) assert.equal(error.outcome, outcome, error.message)
    for (const word of words) assert.match(error.message, word)
    return true
  }
}

export function freshWorkspace(t: Scope, platform: Platform = posixPlatform()): Workspace {
  return openWorkspace(platform, temporaryDirectory(t, 'db'), { create: true })
}

/** A machine on which no time passes: what is bounded by milliseconds has all it needs, however busy this one is. */
export function timeless(): Platform {
  return Object.defineProperty(posixPlatform(), 'now', { value: () => 1 })
}

/** A connection of another program to the file. */
export function foreign(t: Scope, path: string): DatabaseSync {
  const database = new DatabaseSync(path)
  defer(t, () => {
    try {
      database.close()
    } catch {
      // The test has closed it.
    }
  })
  return database
}

/** A connection as the room opens it, to a file of its own. */
export async function connection(t: Scope): Promise<Connection> {
  const { open } = await nodeSqlite()
  const opened = open(join(temporaryDirectory(t, 'db'), 'data.db'), { readOnly: false })
  defer(t, () => opened.close())
  opened.exec('PRAGMA journal_mode = WAL')
  return opened
}

export interface PrimaryOptions extends DatabaseSettings {
  readonly term?: number
  readonly lock?: string
  readonly holdsSeat?: () => boolean
  readonly limits?: ServeOptions['limits']
}

/** A primary of the room alone: what the engine does around it is left out. */
export class Primary {
  readonly opened: OpenedDatabase
  readonly coordinator: Coordinator
  readonly events: FeedEvent[] = []
  readonly reports: Report[] = []
  readonly lost: ConclaveError[] = []
  foreignWrites = 0

  constructor(opened: OpenedDatabase, coordinator: Coordinator, seen: Pick<Primary, 'events' | 'reports' | 'lost'>) {
    this.opened = opened
    this.coordinator = coordinator
    this.events = seen.events
    this.reports = seen.reports
    this.lost = seen.lost
  }

  get path(): string {
    return this.opened.path
  }

  /** A member linked to it. */
  client(member = 'm'): WriteClient {
    return new WriteClient({
      now,
      send: (method, params, over) => ask(this.coordinator, method, params, { member, ...over }),
    })
  }

  close(): Promise<void> {
    return this.opened.close(new ConclaveError('PRIMARY_LOST', 'closed by the test', { outcome: 'unknown' }))
  }
}

export interface Asking {
  readonly member: string
  readonly deadline: number
  readonly signal?: AbortSignal | undefined
}

/** A request through JSON, as the engine carries it. */
export async function ask(
  coordinator: Coordinator,
  method: string,
  params: unknown,
  { member, deadline, signal }: Asking,
): Promise<unknown> {
  const context = new RequestContext(member, deadline)
  const answer = coordinator.request(method, json(params), context)
  const giveUp = (): void => context.giveUp(signal?.reason)
  if (signal?.aborted === true) giveUp()
  signal?.addEventListener('abort', giveUp, { once: true })
  return json(await answer)
}

export function json(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value))
}

export async function serve(t: Scope, workspace: Workspace, options: PrimaryOptions = {}): Promise<Primary> {
  const { term, lock = 'lock', holdsSeat = () => true, limits, ...settings } = options
  const opened = await openDatabase({ migrations: [TABLE], ...settings, workspace })
  const seen = { events: [] as FeedEvent[], reports: [] as Report[], lost: [] as ConclaveError[] }
  const primary: { current?: Primary } = {}
  defer(t, () => opened.close(new ConclaveError('PRIMARY_LOST', 'the test is over', { outcome: 'unknown' })))
  try {
    const coordinator = await opened.serve({
      term: term ?? opened.term + 1,
      lock,
      holdsSeat,
      limits,
      onChanges: (events) => seen.events.push(...events),
      onForeignWrite: () => {
        if (primary.current !== undefined) primary.current.foreignWrites++
      },
      onLost: (error) => seen.lost.push(error),
      onReport: (report) => seen.reports.push(report),
    })
    primary.current = new Primary(opened, coordinator, seen)
    return primary.current
  } catch (error) {
    await opened.close(new ConclaveError('PRIMARY_LOST', 'it never served'))
    throw error
  }
}

export function notes(database: DatabaseSync): string[] {
  return database
    .prepare('SELECT text FROM note ORDER BY id')
    .all()
    .map((row) => String(row['text']))
}
