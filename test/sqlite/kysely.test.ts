import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { ConclaveDialect } from 'conclave/kysely'
import { Kysely, Migrator, sql, type ColumnType, type Generated, type MigrationProvider } from 'kysely'
import { ConclaveError } from '../../src/errors/index.ts'
import { defer, type Scope } from '../support/index.ts'
import { standIn, type StandIn } from './kysely-stand-in.ts'
import { code, foreign, freshWorkspace, notes, serve, type Primary } from './support.ts'

interface Tables {
  note: { id: Generated<number>; text: string | null }
  odd: { id: Generated<number>; value: ColumnType<unknown, unknown, unknown> }
}

const MIGRATIONS = [
  'CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT UNIQUE)',
  'CREATE TABLE odd(id INTEGER PRIMARY KEY, value)',
]

interface Fixture {
  readonly primary: Primary
  readonly member: StandIn
  readonly db: Kysely<Tables>
}

async function fixture(t: Scope, transactionTimeoutMs?: number): Promise<Fixture> {
  const primary = await serve(t, freshWorkspace(t), { migrations: MIGRATIONS })
  const member = await standIn(t, primary)
  return { primary, member, db: kyselyOn(t, member, transactionTimeoutMs) }
}

function kyselyOn(t: Scope, member: StandIn, transactionTimeoutMs?: number): Kysely<Tables> {
  const db = new Kysely<Tables>({ dialect: new ConclaveDialect(member, { transactionTimeoutMs }) })
  defer(t, () => db.destroy())
  return db
}

const texts = (primary: Primary, t: Scope): string[] => notes(foreign(t, primary.path))

describe('conclave/kysely: queries', () => {
  test('what reads is read here, on a statement prepared once; what writes goes to the primary', async (t) => {
    const { member, db } = await fixture(t)
    for (let n = 1; n <= 3; n++) {
      const { insertId, numInsertedOrUpdatedRows } = await db
        .insertInto('note')
        .values({ text: `n${n}` })
        .executeTakeFirstOrThrow()
      assert.deepEqual([insertId, numInsertedOrUpdatedRows], [BigInt(n), 1n])
      const rows = await db.selectFrom('note').selectAll().where('id', '=', n).execute()
      assert.deepEqual({ ...rows[0] }, { id: n, text: `n${n}` }, 'a write that was acknowledged is seen')
    }
    assert.equal(member.prepared.length, 1)
    assert.equal(member.sent.length, 3)
    await db
      .with('x', (q) => q.selectFrom('note').select('id'))
      .selectFrom('x')
      .selectAll()
      .execute()
    await sql`PRAGMA table_info(note)`.execute(db)
    await sql`VALUES (1)`.execute(db)
    assert.deepEqual([member.prepared.length, member.sent.length], [4, 3])
  })

  test('insert, update, delete, returning, upsert and definitions are writes', async (t) => {
    const { primary, member, db } = await fixture(t)
    const inserted = await db
      .insertInto('note')
      .values([{ text: 'a' }, { text: 'b' }])
      .returning(['id', 'text'])
      .execute()
    assert.deepEqual(
      inserted.map((row) => ({ ...row })),
      [
        { id: 1, text: 'a' },
        { id: 2, text: 'b' },
      ],
    )
    const updated = await db.updateTable('note').set({ text: 'c' }).where('id', '=', 2).executeTakeFirstOrThrow()
    assert.equal(updated.numUpdatedRows, 1n)
    const nothing = await db
      .insertInto('note')
      .values({ text: 'c' })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirstOrThrow()
    assert.deepEqual([nothing.insertId, nothing.numInsertedOrUpdatedRows], [undefined, 0n])
    const moved = await db
      .with('gone', (q) => q.selectFrom('note').select('id').where('text', '=', 'a'))
      .deleteFrom('note')
      .where('id', 'in', (q) => q.selectFrom('gone').select('id'))
      .executeTakeFirstOrThrow()
    assert.equal(moved.numDeletedRows, 1n)
    await db.schema.createTable('more').addColumn('id', 'integer').execute()
    await db.schema.alterTable('more').addColumn('text', 'text').execute()
    await sql`PRAGMA user_version = 7`.execute(db)
    assert.equal(member.prepared.length, 0)
    assert.equal(foreign(t, primary.path).prepare('PRAGMA user_version').get()?.['user_version'], 7)
    assert.deepEqual(texts(primary, t), ['c'])
  })

  test('a cached query sees a column that was added', async (t) => {
    const { db } = await fixture(t)
    await db.insertInto('note').values({ text: 'a' }).execute()
    const all = (): Promise<object[]> => db.selectFrom('note').selectAll().execute()
    assert.deepEqual(Object.keys((await all())[0]!), ['id', 'text'])
    await db.schema.alterTable('note').addColumn('tag', 'text').execute()
    assert.deepEqual(Object.keys((await all())[0]!), ['id', 'text', 'tag'])
  })

  test('bigint and bytes are kept; what SQLite does not store is refused by name, in reads and in writes', async (t) => {
    const { db } = await fixture(t)
    for (const value of [2n ** 60n, new Uint8Array([1, 0, 255]), 1.5, 'x', null]) {
      const { value: got } = await db.insertInto('odd').values({ value }).returning('value').executeTakeFirstOrThrow()
      assert.deepEqual(got, value)
    }
    const rows = await db.selectFrom('odd').select('value').where('id', '<', 3).execute()
    assert.deepEqual(
      rows.map(({ value }) => value),
      [2n ** 60n, new Uint8Array([1, 0, 255])],
    )
    for (const [value, says] of [
      [true, /boolean.*1 and 0/],
      [new Date(0), /Date.*toISOString/],
      [{ a: 1 }, /JSON\.stringify/],
    ] as const) {
      const refused = code('INVALID_PARAMS', 'not-committed', says)
      await assert.rejects(db.insertInto('odd').values({ value }).execute(), refused)
      await assert.rejects(db.selectFrom('odd').selectAll().where('value', '=', value).execute(), refused)
      const inside = db.transaction().execute((trx) => trx.insertInto('odd').values({ value }).execute())
      await assert.rejects(inside, refused)
    }
  })

  test('errors are ours: a violated constraint, a typing error, what may not be said', async (t) => {
    const { db } = await fixture(t)
    await db.insertInto('note').values({ text: 'a' }).execute()
    await assert.rejects(db.insertInto('note').values({ text: 'a' }).execute(), code('CONFLICT', 'not-committed'))
    await assert.rejects(sql`SELECT * FROM nowhere`.execute(db), code('FAILED', undefined, /nowhere/))
    await assert.rejects(sql`BEGIN`.execute(db), code('INVALID_PARAMS', 'not-committed', /transaction/))
    await assert.rejects(sql`VACUUM`.execute(db), code('INVALID_PARAMS'))
  })

  test('stream() reads row by row, and what is left early lets go of its snapshot', async (t) => {
    const { db } = await fixture(t)
    await db
      .insertInto('note')
      .values(Array.from({ length: 25 }, (_, n) => ({ text: `n${n}` })))
      .execute()
    const ids: number[] = []
    for await (const { id } of db.selectFrom('note').select('id').orderBy('id').stream(10)) ids.push(id)
    assert.deepEqual(
      ids,
      Array.from({ length: 25 }, (_, n) => n + 1),
    )
    for (let n = 0; n < 10; n++) {
      for await (const { id } of db.selectFrom('note').select('id').stream()) if (id === 3) break
    }
    const deleted: number[] = []
    for await (const { id } of db.deleteFrom('note').where('id', '>', 23).returning('id').stream()) deleted.push(id)
    assert.deepEqual(deleted, [24, 25])
    await db.transaction().execute(async (trx) => {
      await trx.deleteFrom('note').where('id', '>', 2).execute()
      const inside: number[] = []
      for await (const { id } of trx.selectFrom('note').select('id').stream()) inside.push(id)
      assert.deepEqual(inside, [1, 2])
    })
  })
})

describe('conclave/kysely: transactions', () => {
  test('commits as one, reads its own writes, and rolls back what its callback throws', async (t) => {
    const { primary, db } = await fixture(t)
    const count = await db.transaction().execute(async (trx) => {
      await trx.insertInto('note').values({ text: 'a' }).execute()
      const seen = await trx.selectFrom('note').selectAll().execute()
      const outside = await db.selectFrom('note').selectAll().execute()
      assert.deepEqual([seen.length, outside.length], [1, 0])
      return seen.length
    })
    assert.equal(count, 1)
    const failing = db.transaction().execute(async (trx) => {
      await trx.insertInto('note').values({ text: 'b' }).execute()
      throw new RangeError('changed my mind')
    })
    await assert.rejects(failing, RangeError)
    assert.deepEqual(texts(primary, t), ['a'])
  })

  test('those of two members, and two of one, run one after the other', async (t) => {
    const { primary, db } = await fixture(t)
    const other = kyselyOn(t, await standIn(t, primary, 'other'))
    const increment = (on: Kysely<Tables>): Promise<void> =>
      on.transaction().execute(async (trx) => {
        const { n } = await trx
          .selectFrom('note')
          .select((q) => q.fn.countAll<number>().as('n'))
          .executeTakeFirstOrThrow()
        await sleep(2)
        await trx
          .insertInto('note')
          .values({ text: `${n}` })
          .execute()
      })
    await Promise.all([increment(db), increment(db), increment(other), increment(other), increment(db)])
    assert.deepEqual(
      texts(primary, t),
      ['0', '1', '2', '3', '4'],
      'nobody saw a count that another was about to change',
    )
  })

  test('its deadline: the next query and the commit say so, the others go on', async (t) => {
    const { primary, db } = await fixture(t, 250)
    const lost = code('TRANSACTION_LOST', 'not-committed', /deadline of 250 ms/)
    const slow = db.transaction().execute(async (trx) => {
      await trx.insertInto('note').values({ text: 'held' }).execute()
      await db.insertInto('note').values({ text: 'outside' }).execute()
      await assert.rejects(trx.insertInto('note').values({ text: 'too late' }).execute(), lost)
    })
    await assert.rejects(slow, code('TRANSACTION_LOST', 'not-committed'))
    const silent = db.transaction().execute(async (trx) => {
      await trx.insertInto('note').values({ text: 'held' }).execute()
      await sleep(400)
    })
    await assert.rejects(silent, code('TRANSACTION_LOST', 'not-committed'))
    assert.deepEqual(texts(primary, t), ['outside'])
  })

  test('isolation levels and reads that would hold the writer are refused; serializable is what there is', async (t) => {
    const { member, db } = await fixture(t)
    for (const level of ['read uncommitted', 'read committed', 'repeatable read', 'snapshot'] as const) {
      const refused = db
        .transaction()
        .setIsolationLevel(level)
        .execute(async () => assert.fail('it ran'))
      await assert.rejects(refused, code('INVALID_OPTION', 'not-committed', /serializable/))
    }
    const reading = db
      .transaction()
      .setAccessMode('read only')
      .execute(async () => assert.fail('it ran'))
    await assert.rejects(reading, code('INVALID_OPTION', 'not-committed', /setAccessMode/))
    await db
      .transaction()
      .setIsolationLevel('serializable')
      .setAccessMode('read write')
      .execute((trx) => trx.insertInto('note').values({ text: 'a' }).execute())
    assert.equal(member.sent.length, 0)
  })

  test('controlled ones have savepoints', async (t) => {
    const { primary, db } = await fixture(t)
    const trx = await db.startTransaction().execute()
    const insert = async (text: string): Promise<unknown> => trx.insertInto('note').values({ text }).execute()
    await insert('a')
    const after = await trx.savepoint('before "b"').execute()
    await insert('b')
    await after.rollbackToSavepoint('before "b"').execute()
    await insert('c')
    await after.releaseSavepoint('before "b"').execute()
    await assert.rejects(after.rollbackToSavepoint('before "b"').execute(), code('FAILED', 'not-committed', /before/))
    await trx.commit().execute()
    assert.deepEqual(texts(primary, t), ['a', 'c'])

    const second = await db.startTransaction().execute()
    await second.insertInto('note').values({ text: 'd' }).execute()
    await second.rollback().execute()
    assert.deepEqual(texts(primary, t), ['a', 'c'])
  })

  test('a controlled one whose commit failed writes nothing more, and its rollback is quiet', async (t) => {
    const { primary, db } = await fixture(t)
    const trx = await db.startTransaction().execute()
    await trx.insertInto('note').values({ text: 'a' }).execute()
    primary.coordinator.memberLeft('m')
    await assert.rejects(trx.commit().execute(), code('TRANSACTION_LOST', 'not-committed'))
    await assert.rejects(trx.insertInto('note').values({ text: 'b' }).execute(), code('CLOSED'))
    await trx.rollback().execute()
    await db.insertInto('note').values({ text: 'c' }).execute()
    assert.deepEqual(texts(primary, t), ['c'])
  })

  test('destroy() rolls back what was left open', async (t) => {
    const { primary, member } = await fixture(t)
    const db = kyselyOn(t, member)
    const trx = await db.startTransaction().execute()
    await trx.insertInto('note').values({ text: 'a' }).execute()
    await db.destroy()
    await member.db.run('INSERT INTO note(text) VALUES (?)', ['b'])
    assert.deepEqual(texts(primary, t), ['b'])
  })
})

describe('conclave/kysely: the member', () => {
  test('a function is called with the first query; destroy() closes what it returned', async (t) => {
    const { member } = await fixture(t)
    let joined = 0
    const join = async (): Promise<StandIn> => {
      if (++joined === 1) throw new RangeError('not yet')
      return member
    }
    const db = new Kysely<Tables>({ dialect: new ConclaveDialect(join) })
    assert.equal(joined, 0)
    await assert.rejects(db.selectFrom('note').selectAll().execute(), RangeError)
    await Promise.all([db.selectFrom('note').selectAll().execute(), db.selectFrom('odd').selectAll().execute()])
    assert.deepEqual([joined, member.closed], [2, 0])
    await db.destroy()
    assert.equal(member.closed, 1)
  })

  test('a member that was joined without a database is closed again', async (t) => {
    const { member } = await fixture(t)
    const without = {
      get db(): never {
        throw new ConclaveError('NO_DATABASE', 'it has none')
      },
      close: () => member.close(),
    }
    for (const [source, closed] of [
      [without, 0],
      [() => without, 1],
    ] as const) {
      const db = new Kysely<Tables>({ dialect: new ConclaveDialect(source) })
      await assert.rejects(db.selectFrom('note').selectAll().execute(), code('NO_DATABASE'))
      assert.equal(member.closed, closed)
      await db.destroy()
      assert.equal(member.closed, closed)
    }
  })

  test('a member that was given stays open', async (t) => {
    const { member } = await fixture(t)
    const db = new Kysely<Tables>({ dialect: new ConclaveDialect(member) })
    await db.selectFrom('note').selectAll().execute()
    await db.destroy()
    assert.equal(member.closed, 0)
  })
})

describe('conclave/kysely: migrations and introspection', () => {
  const provider = (ran: string[]): MigrationProvider => ({
    getMigrations: async () => ({
      '1_person': {
        up: async (db) => {
          ran.push('1')
          await db.schema
            .createTable('person')
            .addColumn('id', 'integer', (c) => c.primaryKey())
            .execute()
          await sleep(5)
        },
        down: (db) => db.schema.dropTable('person').execute(),
      },
      '2_name': {
        up: async (db) => {
          ran.push('2')
          await db.schema.alterTable('person').addColumn('name', 'text').execute()
        },
        down: (db) => db.schema.alterTable('person').dropColumn('name').execute(),
      },
    }),
  })

  test('members that migrate at once run each migration once; down undoes', async (t) => {
    const { primary, db } = await fixture(t)
    const other = kyselyOn(t, await standIn(t, primary, 'other'))
    const ran: string[] = []
    const migrators = [db, other].map((on) => new Migrator({ db: on, provider: provider(ran) }))
    const results = await Promise.all(migrators.map((migrator) => migrator.migrateToLatest()))
    for (const { error } of results) assert.equal(error, undefined)
    assert.deepEqual(ran, ['1', '2'])
    assert.deepEqual(results.map((one) => one.results?.length).sort(), [0, 2])
    const table = async (): Promise<unknown> =>
      (await db.introspection.getTables())
        .filter(({ name }) => name === 'person')
        .map(({ columns }) =>
          columns.map((column) => [column.name, column.dataType.toLowerCase(), column.isAutoIncrementing]),
        )
    assert.deepEqual(await table(), [
      [
        ['id', 'integer', true],
        ['name', 'text', false],
      ],
    ])
    const { error } = await migrators[0]!.migrateDown()
    assert.equal(error, undefined)
    assert.deepEqual(await table(), [[['id', 'integer', true]]])
  })

  test('one that fails leaves nothing; they may take longer than a transaction of the dialect', async (t) => {
    const { db } = await fixture(t, 20)
    const failing: MigrationProvider = {
      getMigrations: async () => ({
        '1_a': {
          up: async (on) => {
            await on.schema.createTable('a').addColumn('id', 'integer').execute()
            await sleep(60)
          },
        },
        '2_b': { up: (on) => on.schema.createTable('note').addColumn('id', 'integer').execute() },
      }),
    }
    const { error } = await new Migrator({ db, provider: failing }).migrateToLatest()
    assert.ok(code('FAILED', 'not-committed', /already exists/)(error))
    const tables = (await db.introspection.getTables()).map(({ name }) => name)
    assert.deepEqual(tables, ['note', 'odd'])
    const short = db.transaction().execute(() => sleep(60))
    await assert.rejects(short, code('TRANSACTION_LOST'))
  })
})
