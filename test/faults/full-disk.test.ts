import assert from 'node:assert/strict'
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join as path } from 'node:path'
import { describe, test } from 'node:test'
import { DatabaseSync } from 'node:sqlite'
import { ConclaveError } from '../../src/errors/index.ts'
import { nodeSqlite, type Connection, type Driver } from '../../src/sqlite/index.ts'
import { foreign, freshWorkspace, notes, serve } from '../sqlite/support.ts'
import { execute, spawnProgram, temporaryDirectory, type Message, type Program, type Scope } from '../support/index.ts'

const INSERT = 'INSERT INTO note(text) VALUES (?)'

test('no pages left: writes are refused with a reason, none that was acknowledged is lost, and with room they go on', async (t) => {
  let connection: Connection | undefined
  const driver = async (): Promise<Driver> => {
    const real = await nodeSqlite()
    return { ...real, open: (at, options) => (connection = real.open(at, options)) }
  }
  const workspace = freshWorkspace(t)
  const primary = await serve(t, workspace, { driver })
  const clients = ['one', 'two', 'three'].map((name) => primary.client(name))
  const acknowledged = new Set<string>()
  const refused = new Map<string, unknown>()
  const write = async (who: number, n: number): Promise<void> => {
    const item = `${who}-${n} ${'x'.repeat(700)}`
    try {
      await clients[who]!.run(INSERT, [item])
      acknowledged.add(item)
    } catch (error) {
      refused.set(item, error)
    }
  }
  await write(0, 0)
  const pages = Number(connection!.prepare('PRAGMA page_count').get([])!['page_count'])
  connection!.exec(`PRAGMA max_page_count = ${pages + 12}`)
  await Promise.all([0, 1, 2].flatMap((who) => Array.from({ length: 40 }, (_, n) => write(who, n + 1))))
  assert.ok(acknowledged.size > 1 && refused.size > 1, `${acknowledged.size} written, ${refused.size} refused`)
  for (const error of refused.values()) {
    assert.ok(ConclaveError.is(error, 'FAILED'), String((error as Error).stack))
    assert.equal(error.reason, 'SQLITE_FULL')
    assert.notEqual(error.outcome, 'committed')
  }
  assert.deepEqual(new Set(notes(foreign(t, primary.path))), acknowledged)

  connection!.exec(`PRAGMA max_page_count = ${2 ** 30}`)
  // One that failed in COMMIT may be told as unknown; who asks learns that it is not there.
  for (const [item, error] of refused) {
    const { outcome, key } = error as ConclaveError
    if (outcome === 'unknown') assert.equal(await clients[Number(item[0])]!.outcome(key!), 'not-committed')
  }
  for (const who of [0, 1, 2]) await write(who, 100)
  assert.equal([...refused.keys()].filter((item) => / 100 /.test(item)).length, 0)
  await primary.close()
  const next = await serve(t, workspace)
  assert.deepEqual(new Set(notes(foreign(t, next.path))), acknowledged, 'the next primary has them all, and no other')
})

/** A program in a mount namespace of its own, with a small disk that is gone with it. */
function onSmallDisk(t: Scope, durability: string): { program: Program; copy: () => Promise<string> } {
  const disk = temporaryDirectory(t, 'd')
  const saved = temporaryDirectory(t, 's')
  const node = path(saved, 'node')
  writeFileSync(
    node,
    `#!/bin/sh
exec unshare --mount sh -c 'mount -t tmpfs -o size=2m,mode=700 none ${disk} && exec ${process.execPath} "$@"' sh "$@"
`,
    { mode: 0o700 },
  )
  const program = spawnProgram(t, path(import.meta.dirname, 'programs', 'full-disk.ts'), [disk, durability], { node })
  const copy = async (): Promise<string> => {
    const from = `/proc/${program.pid}/root${disk}/.conclave`
    mkdirSync(path(saved, 'db'))
    for (const name of ['data.db', 'data.db-wal']) {
      if (existsSync(path(from, name))) cpSync(path(from, name), path(saved, 'db', name))
    }
    return Promise.resolve(path(saved, 'db', 'data.db'))
  }
  return { program, copy }
}

async function mayMount(t: Scope & { skip(why: string): void }): Promise<boolean> {
  const disk = temporaryDirectory(t, 'd')
  try {
    const tried = await execute(t, 'unshare', ['--mount', 'mount', '-t', 'tmpfs', '-o', 'size=1m', 'none', disk])
    if (tried.code === 0) return true
  } catch {
    // No unshare here.
  }
  if ((process.env['CONCLAVE_TEST_REQUIRE'] ?? '').split(',').includes('mount'))
    throw new Error('may not mount a tmpfs')
  t.skip('needs the right to mount a tmpfs')
  return false
}

describe('a disk that is full', () => {
  for (const durability of ['normal', 'full']) {
    test(`durability ${durability}: ENOSPC refuses writes, loses none, and ends when there is room`, async (t) => {
      if (!(await mayMount(t))) return
      const { program, copy } = onSmallDisk(t, durability)
      await program.ready()
      const said = (what: string): Message[] => program.messages.filter(({ did }) => did === what)
      program.send({ fill: 'a' })
      await program.next((message) => message['filled'] === true)
      assert.ok(said('acknowledged').length > 3)
      for (const { typed, code, outcome, message } of said('refused')) {
        assert.ok(typed === true, String(message))
        assert.equal(code, 'FAILED', String(message))
        assert.ok(outcome === 'not-committed' || outcome === 'unknown', String(message))
      }
      program.send({ room: true })
      await program.next((message) => message['room'] === true)
      program.send({ ask: true })
      await program.next((message) => message['asked'] === true)
      const unknown = said('refused').filter(({ outcome }) => outcome === 'unknown')
      assert.equal(said('asked').length, unknown.length)
      for (const { item, outcome } of said('asked')) assert.notEqual(outcome, 'committed', String(item))
      program.send({ write: 'after' })
      assert.equal((await program.next(({ item }) => item === 'after'))['did'], 'acknowledged')

      const database = new DatabaseSync(await copy())
      t.after(() => database.close())
      const there = database
        .prepare('SELECT text FROM note')
        .all()
        .map((row) => row['text'])
      assert.deepEqual(new Set(there), new Set(said('acknowledged').map(({ item }) => item)))
      assert.equal(there.length, new Set(there).size)
      assert.equal(database.prepare('PRAGMA integrity_check').get()!['integrity_check'], 'ok')
      program.send({ close: true })
      program.letGo()
      assert.deepEqual(await program.exit, { code: 0, signal: null })
    })
  }
})
