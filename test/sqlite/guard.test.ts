import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { guard, guardAll, type Place } from '../../src/sqlite/guard.ts'
import { code } from './support.ts'

const PLACES: readonly Place[] = ['read', 'write', 'own']
const DISGUISES: readonly ((word: string) => string)[] = [
  (word) => word,
  (word) => word.toLowerCase(),
  (word) => `  \n\t\f\r${word}`,
  (word) => `/* a ; comment */ ${word}`,
  (word) => `-- a line\n${word}`,
  (word) => `/*/ x */-- y ; z\n /**/${word}`,
  (word) => `EXPLAIN ${word}`,
  (word) => `explain /**/ query -- \n plan ${word}`,
  (word) => `\uFEFF${word}`,
  (word) => `;${word}`,
  (word) => `;;/**/;${word};`,
]

describe('A3: what ends or leaves the transaction is refused in every disguise', () => {
  for (const [statement, hint] of [
    ['BEGIN', /db\.transaction/],
    ['BEGIN IMMEDIATE', /db\.transaction/],
    ['COMMIT', /commits by itself/],
    ['END', /commits by itself/],
    ['END TRANSACTION', /commits by itself/],
    ['ROLLBACK', /throw/],
    ['ROLLBACK TO s', /throw/],
    ['SAVEPOINT s', /savepoint/],
    ['RELEASE s', /savepoint/],
    ["ATTACH 'x' AS y", /another database/],
    ['DETACH y', /another database/],
    ['VACUUM', /sqlite3/],
    ["VACUUM INTO 'x'", /sqlite3/],
  ] as const) {
    test(`A3: ${statement}`, () => {
      for (const place of PLACES) {
        for (const disguise of DISGUISES) {
          const sql = disguise(statement)
          assert.throws(() => guard(sql, place), code('INVALID_PARAMS', 'not-committed', hint), `${place}: ${sql}`)
          assert.throws(() => guardAll(`SELECT 1; ${sql}; SELECT 2`, place), code('INVALID_PARAMS'), sql)
        }
      }
    })
  }
})

test('A3: every PRAGMA outside a short list is refused', () => {
  for (const place of PLACES) {
    for (const fine of [
      'table_info(note)',
      'main.table_info("a b")',
      'user_version',
      'integrity_check',
      'foreign_keys',
      'data_version',
    ]) {
      guard(`PRAGMA ${fine}`, place)
    }
    for (const bad of [
      'wal_checkpoint',
      'main.wal_checkpoint(TRUNCATE)',
      'journal_mode = delete',
      'journal_mode(delete)',
      'foreign_keys = OFF',
      'synchronous = OFF',
      'writable_schema = 1',
      'locking_mode = exclusive',
      'busy_timeout = 1',
      'recursive_triggers = 1',
      '"journal_mode" = delete',
      '[wal_checkpoint]',
      '"main"."wal_checkpoint"',
    ]) {
      assert.throws(() => guard(`PRAGMA ${bad}`, place), code('INVALID_PARAMS'), bad)
    }
  }
  assert.throws(() => guard('PRAGMA user_version = 3', 'read'), code('INVALID_PARAMS'))
  guard('PRAGMA user_version = 3', 'write')
  assert.throws(
    () => guard('PRAGMA defer_foreign_keys = 1', 'write'),
    code('INVALID_PARAMS', undefined, /db\.transaction/),
  )
  guard('PRAGMA defer_foreign_keys = 1', 'own')
})

test('A3: text after the first statement is an error, not dropped in silence', () => {
  for (const sql of [
    'INSERT INTO a VALUES (1); INSERT INTO a VALUES (2)',
    'SELECT 1;SELECT 2',
    'SELECT 1; x',
    'CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END; COMMIT',
    // A name may be `trigger`; brackets belong to a variable, and quotes in them are none.
    'CREATE TABLE trigger(a); COMMIT',
    'CREATE VIEW trigger AS SELECT 1; COMMIT',
    "SELECT $x('); COMMIT; --')",
    'SELECT @a::b("); COMMIT; --")',
    'SELECT :a(`); COMMIT; --`)',
  ]) {
    assert.throws(() => guard(sql, 'write'), code('INVALID_PARAMS', 'not-committed', /after the first statement/), sql)
  }
  for (const sql of [
    'SELECT 1;',
    'SELECT 1; -- the end',
    'SELECT 1;;/* ; */;',
    "SELECT ';'",
    'SELECT 1 AS "a;b"',
    'SELECT `;`, [;]',
    "SELECT 'it''s; so'",
    'SELECT $x(;), :a, @b, #c',
  ]) {
    guard(sql, 'write')
  }
  assert.throws(() => guard('SELECT 1\0; COMMIT', 'write'), code('INVALID_PARAMS', undefined, /NUL/))
  for (const sql of ['', ' ', '-- x', '/* x', ';'])
    assert.throws(() => guard(sql, 'write'), code('INVALID_PARAMS'), sql)
})

test('a trigger is one statement, to its END', () => {
  const trigger = `CREATE TRIGGER t AFTER INSERT ON a WHEN CASE WHEN 1 THEN 2 END BEGIN
    UPDATE a SET x = CASE WHEN x THEN 1 ELSE 2 END; -- END;
    SELECT 'END;'; SELECT 1 AS "END"; /* END */
  END`
  assert.equal(guard(trigger, 'write').definition, true)
  assert.equal(guard(`${trigger} ; `, 'write').definition, true)
  assert.throws(() => guardAll(`${trigger}; COMMIT`, 'own'), code('INVALID_PARAMS'))
  const view = 'CREATE VIEW trigger_view AS SELECT 1'
  assert.throws(() => guard(`${view}; COMMIT`, 'write'), code('INVALID_PARAMS'))
})

test('reads only read; what is TEMP is refused; definitions are told', () => {
  guard('WITH x AS (SELECT 1) SELECT * FROM x', 'read')
  guard('VALUES (1)', 'read')
  for (const sql of ['INSERT INTO a VALUES (1)', 'CREATE TABLE b(x)', 'REPLACE INTO a VALUES (1)', 'ANALYZE']) {
    assert.throws(() => guard(sql, 'read'), code('INVALID_PARAMS', undefined, /only reads/), sql)
  }
  assert.throws(() => guard('CREATE TEMP TABLE x(a)', 'write'), code('INVALID_PARAMS', undefined, /TEMP/))
  assert.throws(() => guard('create /**/ temporary view x as select 1', 'own'), code('INVALID_PARAMS'))
  for (const what of [
    'TABLE',
    'TABLE IF NOT EXISTS',
    'VIEW',
    'TRIGGER',
    'VIRTUAL TABLE IF NOT EXISTS',
    'UNIQUE INDEX',
  ]) {
    for (const schema of ['temp', 'TEMP', '"temp"', '[Temp]', '`temp`', "'temp'"]) {
      const sql = `CREATE ${what} ${schema} /**/ . x`
      for (const place of ['write', 'own'] as const) {
        assert.throws(() => guard(sql, place), code('INVALID_PARAMS', 'not-committed', /TEMP/), sql)
      }
    }
  }
  for (const fine of ['TABLE temp(x)', 'TABLE main.temp(x)', 'VIEW v AS SELECT temp.x FROM a AS temp', 'TABLE if(x)']) {
    assert.equal(guard(`CREATE ${fine}`, 'write').definition, true)
  }
  assert.equal(guard('ALTER TABLE a ADD b', 'write').definition, true)
  assert.equal(guard('UPDATE a SET b = 1', 'write').definition, false)
  assert.equal(guardAll('SELECT 1; DROP TABLE a', 'write').definition, true)
})

test('A3: whatever SQLite takes for the end of a transaction never passes', () => {
  const piece = fc.constantFrom(
    'COMMIT',
    'end',
    'SELECT 1',
    ';',
    ' ',
    '\n',
    '--x\n',
    '/*',
    '*/',
    "'",
    '"',
    '`',
    '[',
    ']',
    'EXPLAIN',
    'BEGIN',
    'CREATE TRIGGER t AFTER INSERT ON a',
    'CREATE TABLE trigger(x)',
    '$a(',
    '@b(',
    '\uFEFF',
    '\u00a0',
    '\v',
    '-',
    '/',
    'x',
    '(',
    ')',
    ',',
    '$a',
    '?1',
    "x'00'",
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 10 }), fc.constantFrom('', ' '), (pieces, glue) => {
      const sql = pieces.join(glue)
      try {
        guardAll(sql, 'write')
      } catch {
        return
      }
      // It passed: then running it must leave the transaction alone.
      const database = new DatabaseSync(':memory:')
      database.exec('CREATE TABLE a(x); BEGIN')
      try {
        database.exec(sql)
      } catch {
        // No valid SQL.
      }
      let inside = false
      try {
        database.exec('BEGIN')
      } catch {
        inside = true
      }
      database.close()
      assert.equal(inside, true, sql)
    }),
    { numRuns: 2000 },
  )
})
