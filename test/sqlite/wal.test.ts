import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { LocalReader, nodeSqlite } from '../../src/sqlite/index.ts'
import type { AsyncTx } from '../../src/sqlite/types.ts'
import { parseLocks, walHolders } from '../../src/sqlite/wal.ts'
import { defer, spawnProgram, until } from '../support/index.ts'
import { code, freshWorkspace, serve, type Primary } from './support.ts'

const FILL = 'INSERT INTO note(text) VALUES (hex(randomblob(50000)))'
const MiB = 1024 * 1024
const limits = { wal: { truncateBytes: 2 * MiB, reportBytes: 4 * MiB, maxBytes: 8 * MiB } }

const sizeOf = ({ path }: Primary): number => statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0

async function fill(primary: Primary, until: () => boolean): Promise<void> {
  const client = primary.client()
  while (!until()) await client.run(FILL)
}

describe('B9, B10: the WAL', () => {
  test('B10: the writing connection checkpoints, and the WAL stays short under writes and short reads', async (t) => {
    const primary = await serve(t, freshWorkspace(t), { limits })
    const reader = new LocalReader({ driver: await nodeSqlite(), path: primary.path })
    defer(t, () => reader.close())
    const count = reader.prepare<{ n: number }>('SELECT count(*) AS n FROM note')
    await fill(primary, () => count.get()!.n >= 300)
    assert.ok(sizeOf(primary) < 12 * MiB, `${sizeOf(primary)} bytes`)
  })

  test('B10: a read-only connection cannot checkpoint', async (t) => {
    const primary = await serve(t, freshWorkspace(t))
    await primary.client().run(FILL)
    const reading = (await nodeSqlite()).open(primary.path, { readOnly: true })
    defer(t, () => reading.close())
    try {
      reading.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    } catch {}
    assert.ok(sizeOf(primary) > 0)
  })

  test('B9: a stopped process inside a read is found, reported and named; at the hard bound writes are OVERLOADED', async (t) => {
    const primary = await serve(t, freshWorkspace(t), { limits })
    const client = primary.client()
    await client.run(FILL)
    await client.run(FILL)
    const program = spawnProgram(t, join(import.meta.dirname, 'programs', 'holder.ts'), [primary.path])
    await program.ready()
    await program.stop()
    await fill(primary, () => primary.reports.some(({ type }) => type === 'wal'))
    const report = primary.reports.find((found) => found.type === 'wal')!
    if (existsSync('/proc/locks')) assert.deepEqual(report.holders, [program.pid])
    const refused = code(
      'OVERLOADED',
      'not-committed',
      existsSync('/proc/locks') ? new RegExp(`pid ${program.pid}`) : /snapshot/,
    )
    await assert.rejects(
      fill(primary, () => false),
      refused,
    )
    await assert.rejects(
      client.transaction((tx) => tx.run(FILL)),
      refused,
      'a transaction writes too',
    )
    assert.ok(sizeOf(primary) < 24 * MiB, `bounded: ${sizeOf(primary)}`)
    await program.kill()
    await until(
      () =>
        client.run('SELECT 1').then(
          () => true,
          () => false,
        ),
      'writes to be taken again',
    )
    assert.deepEqual(primary.coordinator.wal.holders, [])
    assert.ok(sizeOf(primary) < 2 * MiB, 'cut')
  })
})

test('only locks of readers in the WAL count, of this file', (t) => {
  const text = [
    '1: POSIX  ADVISORY  READ 11 fe:00:77 124 124',
    '2: POSIX  ADVISORY  READ 12 fe:00:77 123 123',
    '3: POSIX  ADVISORY  WRITE 13 fe:00:77 120 120',
    '4: POSIX  ADVISORY  READ 14 fe:00:77 128 128',
    '5: POSIX  ADVISORY  READ 15 fe:00:78 125 125',
    '6: FLOCK  ADVISORY  WRITE 16 fe:00:77 0 EOF',
    '6: -> POSIX  ADVISORY  READ 18 fe:00:77 124 124',
    '7: POSIX  ADVISORY  READ 17 00:1f:77 127 127',
    '',
  ].join('\n')
  assert.deepEqual(parseLocks(text, 77), [11, 17])
  assert.deepEqual(parseLocks('', 77), [])
  assert.deepEqual(walHolders(join(import.meta.dirname, 'none.db')), [])
  void t
})

const BEGIN = `
  const { DatabaseSync } = require('node:sqlite')
  const database = new DatabaseSync(process.argv[1])
  database.exec('PRAGMA busy_timeout = 0')
  try {
    database.exec('BEGIN IMMEDIATE; ROLLBACK')
    console.log('in')
  } catch {
    console.log('locked')
  }
`

test('A5: our code opens none of the files but through SQLite', async (t) => {
  // A close(2) of any descriptor of theirs would drop the locks that SQLite holds: another writer would get in.
  const primary = await serve(t, freshWorkspace(t))
  const client = primary.client()
  await client.run(FILL)
  // Within one process SQLite keeps them apart itself.
  const begins = (): string =>
    spawnSync(process.execPath, ['--no-warnings', '-e', BEGIN, primary.path], { encoding: 'utf8' }).stdout
  const attempt = async (tx: AsyncTx): Promise<void> => {
    await tx.run(FILL)
    void primary.coordinator.wal
    walHolders(primary.path)
    primary.opened.check()
    const reader = new LocalReader({ driver: await nodeSqlite(), path: primary.path })
    reader.prepare('SELECT * FROM note').all()
    reader.close()
    assert.equal(begins(), 'locked\n')
  }
  await client.transaction(attempt, { timeoutMs: 30_000 })
  assert.equal(begins(), 'in\n')
})
