import assert from 'node:assert/strict'
import { test } from 'node:test'
import { statementError } from '../../src/sqlite/sqlite-errors.ts'
import { nodeSqlite } from '../../src/sqlite/driver.ts'
import { connection } from './support.ts'

test('integers are numbers where that is exact, and bigint beyond; bytes and null stay', async (t) => {
  const db = await connection(t)
  db.exec('CREATE TABLE a(id INTEGER PRIMARY KEY, v)')
  const insert = db.prepare('INSERT INTO a(v) VALUES (?) RETURNING v')
  for (const value of [2n ** 62n, 5n, null, new Uint8Array([1, 0, 255]), 'x', 1.5]) insert.all([value])
  const expected = [2n ** 62n, 5, null, new Uint8Array([1, 0, 255]), 'x', 1.5]
  assert.deepEqual(
    db
      .prepare('SELECT v FROM a')
      .all([])
      .map((row) => row['v']),
    expected,
  )
  assert.deepEqual(
    [...db.prepare('SELECT v FROM a').iterate([])].map((row) => row['v']),
    expected,
  )
  assert.deepEqual(db.prepare('SELECT v FROM a WHERE id = 1').get([])?.['v'], 2n ** 62n)
  assert.equal(db.prepare('SELECT v FROM a WHERE id = 99').get([]), undefined)
  const { lastInsertRowid } = db.prepare('INSERT INTO a(id) VALUES (?)').run([2n ** 60n])
  assert.equal(lastInsertRowid, 2n ** 60n)
})

test('a reader reads large integers too, and its snapshot ends with each read', async (t) => {
  const db = await connection(t)
  const path = String(db.prepare('PRAGMA database_list').get([])?.['file'])
  db.exec(`CREATE TABLE a(v); INSERT INTO a VALUES (1), (${2n ** 60n})`)
  const reader = (await nodeSqlite()).open(path, { readOnly: true })
  const all = reader.prepare('SELECT v FROM a')
  assert.deepEqual(
    all.all([]).map((row) => row['v']),
    [1, 2n ** 60n],
  )
  db.exec('INSERT INTO a VALUES (3)')
  assert.equal(all.all([]).length, 3)
  reader.close()
  reader.close()
})

test('a table keeps columns of one name, the order of names that are numbers, and large integers', async (t) => {
  const db = await connection(t)
  db.exec('CREATE TABLE a(v)')
  const { columns, rows } = db.prepare(`SELECT 'x' AS v, ${2n ** 60n} AS v, 7 AS "1", 8 AS "0"`).table([])!
  assert.deepEqual(columns, ['v', 'v', '1', '0'])
  assert.deepEqual(rows, [['x', 2n ** 60n, 7, 8]])
  const insert = db.prepare('INSERT INTO a VALUES (?) RETURNING *, v')
  assert.deepEqual(insert.table([1]), { columns: ['v', 'v'], rows: [[1, 1]] })
  db.exec('ALTER TABLE a RENAME COLUMN v TO w')
  db.exec('ALTER TABLE a ADD COLUMN x DEFAULT 5')
  const star = db.prepare('SELECT * FROM a')
  db.exec('ALTER TABLE a RENAME COLUMN x TO y')
  assert.deepEqual(star.table([]), { columns: ['w', 'y'], rows: [[1, 5]] }, 'the names are those of the schema of now')
  assert.deepEqual({ ...star.all([])[0] }, { w: 1, y: 5 }, 'and objects are objects again')
})

test('inTransaction is the truth, whatever ended it', async (t) => {
  const db = await connection(t)
  db.exec('CREATE TABLE a(v UNIQUE)')
  assert.equal(db.inTransaction, false)
  db.exec('BEGIN')
  assert.equal(db.inTransaction, true)
  db.exec('INSERT INTO a VALUES (1)')
  assert.throws(() => db.exec('INSERT OR ROLLBACK INTO a VALUES (1)'))
  assert.equal(db.inTransaction, false)
})

test('a statement tells whether it yields rows', async (t) => {
  const db = await connection(t)
  db.exec('CREATE TABLE a(v)')
  const yields = (sql: string): boolean => db.prepare(sql).returnsRows
  assert.deepEqual(
    ['SELECT 1', 'VALUES (1)', 'INSERT INTO a VALUES (1) RETURNING v', 'PRAGMA user_version'].map(yields),
    [true, true, true, true],
  )
  assert.deepEqual(['INSERT INTO a VALUES (1)', 'DELETE FROM a'].map(yields), [false, false])
})

test("errors carry SQLite's extended code; a violated constraint is CONFLICT", async (t) => {
  const db = await connection(t)
  db.exec(
    'CREATE TABLE a(id INTEGER PRIMARY KEY, u UNIQUE, n NOT NULL DEFAULT 1, c CHECK (c > 0)); INSERT INTO a(id, u) VALUES (1, 1)',
  )
  const caught = (sql: string, params: never[] = []): ReturnType<typeof statementError> => {
    try {
      db.prepare(sql).run(params)
    } catch (error) {
      return statementError(error)
    }
    throw new Error(`${sql} did not fail`)
  }
  for (const [sql, name, extendedCode] of [
    ['INSERT INTO a(id) VALUES (1)', 'SQLITE_CONSTRAINT_PRIMARYKEY', 1555],
    ['INSERT INTO a(u) VALUES (1)', 'SQLITE_CONSTRAINT_UNIQUE', 2067],
    ['INSERT INTO a(n) VALUES (NULL)', 'SQLITE_CONSTRAINT_NOTNULL', 1299],
    ['INSERT INTO a(c) VALUES (0)', 'SQLITE_CONSTRAINT_CHECK', 275],
  ] as const) {
    const error = caught(sql)
    assert.equal(error.code, 'CONFLICT')
    assert.deepEqual(error.data, { sqlite: name, extendedCode })
    assert.equal(error.outcome, 'not-committed')
  }
  const syntax = caught('INSERT INTO nowhere VALUES (1)')
  assert.equal(syntax.code, 'FAILED')
  assert.equal(syntax.reason, 'SQLITE_ERROR')
  assert.equal(caught('DELETE FROM a WHERE id = ?', [1, 2] as never[]).code, 'INVALID_PARAMS')
})
