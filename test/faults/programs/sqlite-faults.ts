/**
 * The life of a database's primary, again and again, while system-calls.c lets one system call after another fail.
 * Arguments: a directory to work in, "all" for every error at every place. It says what came of each kind, or what is wrong.
 */
import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { constants } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { openWorkspace } from '../../../src/election/index.ts'
import { ConclaveError, isCode, type Outcome } from '../../../src/errors/index.ts'
import { posixPlatform } from '../../../src/platform/index.ts'
import {
  openDatabase,
  RequestContext,
  WriteClient,
  type Coordinator,
  type OpenedDatabase,
} from '../../../src/sqlite/index.ts'
import { within } from '../../support/until.ts'
import { say } from '../../support/program.ts'

const [directory = '', how] = process.argv.slice(2)
const { EIO, ENOSPC, EMFILE, ENOLCK, EACCES, ENOMEM, EINTR, EAGAIN } = constants.errno
const SHORT = 0

/** In the order of the numbers of system-calls.c, from 1. */
const KINDS: readonly (readonly [name: string, errors: readonly number[]])[] = [
  ['write', [ENOSPC, EIO, SHORT, EINTR]],
  ['sync', [EIO, ENOSPC]],
  ['read', [EIO, SHORT]],
  ['truncate', [EIO, ENOSPC]],
  ['open', [EMFILE, EACCES, EIO]],
  ['lock', [ENOLCK, EIO, EAGAIN]],
  ['unlink', [EIO, EACCES]],
  ['map', [ENOMEM]],
]

const plan = openSync(process.env['CONCLAVE_TEST_FAULT_FILE'] ?? '', 'r+')

function arm(kind: number, at: number, error: number, last: number): void {
  writeSync(plan, Buffer.from(new Uint32Array([kind, at, error, last, 0, 0]).buffer), 0, 24, 0)
}

/** @returns how many calls have failed */
function disarm(): number {
  const numbers = new Uint32Array(6)
  readSync(plan, numbers, 0, 24, 0)
  arm(0, 0, 0, 0)
  return numbers[5]!
}

const now = (): number => Number(process.hrtime.bigint()) / 1e6
const platform = posixPlatform()
const ROUNDS = 2
const MEMBERS: readonly string[] = ['a', 'b', 'c']
const MIGRATIONS = ['CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT UNIQUE, body TEXT)']

interface Told {
  readonly item: string
  readonly outcome: Outcome
}

class Life {
  readonly told: Told[] = []
  readonly folder = mkdtempSync(join(directory, 'f'))
  #opened: OpenedDatabase | undefined

  /** A term: opened, written to by three members at once, closed. */
  async reign(term: number, patienceMs: number): Promise<void> {
    const opened = await this.#step('open', () =>
      openDatabase({
        workspace: openWorkspace(platform, this.folder, { create: true }),
        migrations: MIGRATIONS,
        durability: term % 2 === 0 ? 'normal' : 'full',
      }),
    )
    if (opened === undefined) return
    this.#opened = opened
    const coordinator = await this.#step('serve', () =>
      opened.serve({
        term: Math.max(term, opened.term + 1),
        lock: 'lock',
        holdsSeat: () => true,
        onChanges: () => {},
        onForeignWrite: () => {},
        onLost: () => {},
      }),
    )
    if (coordinator !== undefined) {
      const members = MEMBERS.map((name) => this.#client(coordinator, `${name}${term}`))
      for (let round = 0; round < ROUNDS; round++) {
        await Promise.all(members.map((client, i) => this.#write(client, `${term}.${round}.${i}`, patienceMs)))
      }
    }
    await this.end()
  }

  async end(): Promise<void> {
    const opened = this.#opened
    this.#opened = undefined
    const reason = new ConclaveError('PRIMARY_LOST', 'closed by the test', { outcome: 'unknown' })
    await this.#step('close', () => opened?.close(reason))
  }

  /** What was told holds. */
  verify(): void {
    const database = new DatabaseSync(join(this.folder, '.conclave', 'data.db'))
    try {
      assert.equal(database.prepare('PRAGMA integrity_check').get()!['integrity_check'], 'ok')
      const rows = database.prepare("SELECT name FROM sqlite_schema WHERE name = 'note'").all()
      const texts =
        rows.length === 0
          ? []
          : database
              .prepare('SELECT text FROM note')
              .all()
              .map((row) => row['text'])
      const there = new Set(texts)
      assert.equal(there.size, texts.length)
      for (const { item, outcome } of this.told) {
        if (outcome === 'committed') assert.ok(there.has(item), `${item} was acknowledged and is lost`)
        if (outcome === 'not-committed') assert.ok(!there.has(item), `${item} was refused for good and is there`)
      }
    } finally {
      database.close()
    }
  }

  #client(coordinator: Coordinator, member: string): WriteClient {
    return new WriteClient({
      now,
      send: (method, params, over) => coordinator.request(method, params, new RequestContext(member, over.deadline)),
    })
  }

  async #write(client: WriteClient, item: string, patienceMs: number): Promise<void> {
    try {
      const run = client.run('INSERT INTO note(text, body) VALUES (?, ?)', [item, 'x'.repeat(6000)], {
        timeoutMs: patienceMs,
      })
      await within(run, `the write ${item}`, 15_000)
      this.told.push({ item, outcome: 'committed' })
    } catch (error) {
      typed(`write ${item}`, error)
      const { outcome } = error as ConclaveError
      assert.ok(outcome !== undefined, `write ${item}: its error says no outcome`)
      this.told.push({ item, outcome })
    }
  }

  async #step<T>(what: string, act: () => Promise<T> | undefined): Promise<T | undefined> {
    try {
      return await within(Promise.resolve(act()), what, 15_000)
    } catch (error) {
      if (!isTheirs(error)) typed(what, error)
      return undefined
    }
  }
}

/** Opening passes on what SQLite and the system throw. */
function isTheirs(error: unknown): boolean {
  const { code, syscall } = error as { code?: unknown; syscall?: unknown }
  return code === 'ERR_SQLITE_ERROR' || typeof syscall === 'string'
}

function typed(what: string, error: unknown): void {
  if (ConclaveError.is(error) && isCode(error.code)) return
  throw new Error(`${what}: not an error of ours: ${String((error as Error).stack)}`, { cause: error })
}

/** @returns whether the life got as far as that call */
async function live(kind: number, at: number, error: number, last: number): Promise<boolean> {
  const life = new Life()
  try {
    arm(kind, at, error, last)
    await life.reign(1, 2_000)
    const hits = disarm()
    // Where nothing fails any more nothing may run out of time either, however slow the disk is.
    await life.reign(2, 12_000)
    const second = life.told.filter(({ item }) => item.startsWith('2.'))
    assert.ok(
      second.length === ROUNDS * MEMBERS.length && second.every(({ outcome }) => outcome === 'committed'),
      'the next primary works',
    )
    life.verify()
    return hits > 0
  } finally {
    disarm()
    await life.end()
    rmSync(life.folder, { recursive: true })
  }
}

/** Those that pass by themselves: whoever meets them tries again, for ever. */
const PASSING: readonly number[] = [SHORT, EINTR, EAGAIN, ENOLCK]
const EVER = 1_000_000

for (const [i, [name, errors]] of KINDS.entries()) {
  let lives = 0
  for (const last of [1, EVER]) {
    const some = last === 1 ? errors : errors.filter((error) => !PASSING.includes(error))
    if (some.length === 0) continue
    for (let at = 1, reached = true; reached; at += step(at, last)) {
      reached = false
      for (const error of how === 'all' ? some : [some[at % some.length]!]) {
        try {
          lives++
          if (await live(i + 1, at, error, last)) reached = true
        } catch (fault) {
          const what = `${name} ${last === 1 ? 'number' : 'from number'} ${at} fails with ${error}`
          say({ failed: `${what}: ${String((fault as Error).stack)}` })
        }
      }
    }
  }
  say({ kind: name, lives })
}

/** Each call that opens, and of the many that follow some. */
function step(at: number, last: number): number {
  if (how === 'all') return 1
  if (last === EVER) return 7
  return at < 20 ? 1 : 7
}
closeSync(plan)
say({ over: true })
