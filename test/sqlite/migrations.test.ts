import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { checksumOf } from '../../src/sqlite/migrations.ts'
import { LocalReader, nodeSqlite, type Migration, type SqlRow, type Tx } from '../../src/sqlite/index.ts'
import { defer } from '../support/index.ts'
import { code, foreign, freshWorkspace, serve, TABLE } from './support.ts'

const rows = (path: string, t: { after(hook: () => unknown): void }, sql: string): SqlRow[] =>
  foreign(t, path)
    .prepare(sql)
    .all()
    .map((row) => ({ ...row }) as SqlRow)

describe('C9: migrations', () => {
  test('C9: run once, in order, SQL and functions; the next primary finds them', async (t) => {
    const workspace = freshWorkspace(t)
    let ran = 0
    const fill = (tx: Tx): void => {
      ran++
      const insert = tx.prepare('INSERT INTO note(text) VALUES (?)')
      for (const text of ['a', 'b']) insert.run(text)
    }
    const list: Migration[] = [`${TABLE}; CREATE INDEX by_text ON note(text);`, fill]
    await (await serve(t, workspace, { migrations: list })).close()
    const third = 'UPDATE note SET text = upper(text)'
    const primary = await serve(t, workspace, { migrations: [...list, third] })
    assert.equal(ran, 1)
    assert.deepEqual(rows(primary.path, t, 'SELECT text FROM note ORDER BY id'), [{ text: 'A' }, { text: 'B' }])
    assert.deepEqual(
      rows(primary.path, t, 'SELECT number, checksum FROM _conclave_migrations'),
      [...list, third].map((migration, at) => ({ number: at + 1, checksum: checksumOf(migration) })),
    )
  })

  for (const [what, broken, cause] of [
    ['a statement that fails half-way', 'INSERT INTO note(text) VALUES (1); INSERT INTO nowhere VALUES (1)', /nowhere/],
    [
      'a statement that ends the transaction',
      "INSERT INTO note(text) VALUES ('x'); INSERT OR ROLLBACK INTO note(id) VALUES (1), (1)",
      /./,
    ],
    ['COMMIT', "INSERT INTO note(text) VALUES ('x'); COMMIT; INSERT INTO nowhere VALUES (1)", /COMMIT/],
    [
      'a function that throws',
      (tx: Tx) => {
        tx.exec("INSERT INTO note(text) VALUES ('x')")
        throw new Error('no more')
      },
      /no more/,
    ],
    [
      'a function that goes on after its transaction was ended',
      (tx: Tx) => {
        tx.exec("INSERT INTO note(id, text) VALUES (1, 'x')")
        try {
          tx.exec('INSERT OR ROLLBACK INTO note(id) VALUES (1)')
        } catch {}
        tx.exec("INSERT INTO note(text) VALUES ('y')")
      },
      /ended the transaction/,
    ],
    [
      'a function that hides that its transaction was ended',
      (tx: Tx) => {
        tx.exec("INSERT INTO note(id, text) VALUES (1, 'x')")
        try {
          tx.exec('INSERT OR ROLLBACK INTO note(id) VALUES (1)')
        } catch {}
      },
      /ended the transaction/,
    ],
  ] as const) {
    test(`C9: each migration and its mark are one transaction: ${what}`, async (t) => {
      const workspace = freshWorkspace(t)
      const failed = code('MIGRATION_FAILED', undefined, /Migration 2 of 2/, cause)
      await assert.rejects(serve(t, workspace, { migrations: [TABLE, broken] }), failed)
      const primary = await serve(t, workspace, { migrations: [TABLE] })
      assert.deepEqual(rows(primary.path, t, 'SELECT * FROM note'), [])
      assert.equal(rows(primary.path, t, 'SELECT * FROM _conclave_migrations').length, 1)
    })
  }

  test('C9, A4: an async migration is rolled back', async (t) => {
    const workspace = freshWorkspace(t)
    const migration = (async (tx: Tx) => {
      tx.exec("INSERT INTO note(text) VALUES ('x')")
      await Promise.resolve()
      tx.exec("INSERT INTO note(text) VALUES ('y')")
    }) as unknown as Migration
    await assert.rejects(serve(t, workspace, { migrations: [TABLE, migration] }), code('ASYNC_PROCEDURE'))
    const primary = await serve(t, workspace)
    assert.deepEqual(rows(primary.path, t, 'SELECT * FROM note'), [])
  })

  test('C9, C3: a changed text or a shorter list is refused, and touches nothing', async (t) => {
    const workspace = freshWorkspace(t)
    const list = [TABLE, 'ALTER TABLE note ADD COLUMN tag TEXT']
    const first = await serve(t, workspace, { migrations: list })
    await first.close()
    const state = (): unknown => rows(first.path, t, 'SELECT term, lock FROM _conclave_term')
    const before = state()
    await assert.rejects(
      serve(t, workspace, { migrations: [TABLE] }),
      code('PROFILE_MISMATCH', undefined, /2 migrations.*brings 1/),
    )
    const changed = [TABLE, 'ALTER TABLE note ADD COLUMN other TEXT']
    await assert.rejects(
      serve(t, workspace, { migrations: changed }),
      code('PROFILE_MISMATCH', undefined, /Migration 2/),
    )
    assert.deepEqual(state(), before)
    // Line ends and surrounding space are no change.
    await (await serve(t, workspace, { migrations: [`  ${TABLE.replaceAll('\n', '\r\n')}\r\n`, list[1]!] })).close()
  })

  test('A1: a migration does not commit once the seat is lost', async (t) => {
    const workspace = freshWorkspace(t)
    let holds = true
    const migration = (tx: Tx): void => {
      tx.exec(TABLE)
      holds = false
    }
    await assert.rejects(serve(t, workspace, { migrations: [migration], holdsSeat: () => holds }), code('LOCK_LOST'))
    const primary = await serve(t, workspace, { migrations: [] })
    assert.deepEqual(rows(primary.path, t, "SELECT name FROM sqlite_master WHERE name = 'note'"), [])
    const reader = new LocalReader({ driver: await nodeSqlite(), path: primary.path })
    defer(t, () => reader.close())
    assert.throws(() => reader.prepare('SELECT * FROM note'), code('FAILED', undefined, /no such table/))
  })
})
