import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { batch, callback, drizzle, type ConclaveDrizzleConfig } from 'conclave/drizzle'
import { count, eq, relations, sql, TransactionRollbackError } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { blob, integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import { drizzle as proxy, type SqliteRemoteDatabase } from 'drizzle-orm/sqlite-proxy'
import { migrate } from 'drizzle-orm/sqlite-proxy/migrator'
import { temporaryDirectory, type Scope } from '../support/index.ts'
import { standIn, type StandIn } from './kysely-stand-in.ts'
import { code, foreign, freshWorkspace, serve, type Primary } from './support.ts'

const person = sqliteTable('person', {
  id: integer().primaryKey(),
  name: text().notNull().unique(),
  born: integer({ mode: 'timestamp_ms' }),
  active: integer({ mode: 'boolean' }).notNull().default(true),
  tags: text({ mode: 'json' }).$type<string[]>(),
  key: blob({ mode: 'buffer' }),
  big: blob({ mode: 'bigint' }),
})
const post = sqliteTable('post', {
  id: integer().primaryKey(),
  author: integer().references(() => person.id),
  name: text().notNull(),
})
const schema = {
  person,
  post,
  personRelations: relations(person, ({ many }) => ({ posts: many(post) })),
  postRelations: relations(post, ({ one }) => ({
    author: one(person, { fields: [post.author], references: [person.id] }),
  })),
}
type Schema = typeof schema

const MIGRATIONS = [
  'CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, born INTEGER, active INTEGER NOT NULL DEFAULT 1, tags TEXT, key BLOB, big BLOB)',
  'CREATE TABLE post(id INTEGER PRIMARY KEY, author INTEGER REFERENCES person(id), name TEXT NOT NULL)',
]

interface Fixture {
  readonly primary: Primary
  readonly member: StandIn
  readonly db: SqliteRemoteDatabase<Schema>
  readonly names: () => unknown[]
}

async function fixture(t: Scope, config: ConclaveDrizzleConfig<Schema> = {}): Promise<Fixture> {
  const primary = await serve(t, freshWorkspace(t), { migrations: MIGRATIONS })
  const member = await standIn(t, primary)
  const names = (): unknown[] =>
    foreign(t, primary.path)
      .prepare('SELECT name FROM person ORDER BY id')
      .all()
      .map((row) => row['name'])
  return { primary, member, db: drizzle(member, { schema, ...config }), names }
}

/** Drizzle wraps what a query throws. */
function wrapped(...expected: Parameters<typeof code>): (error: unknown) => boolean {
  const ours = code(...expected)
  return (error) => ours((error as Error).cause)
}

const people = (...names: string[]): { name: string }[] => names.map((name) => ({ name }))

describe('conclave/drizzle: queries', () => {
  test('what reads is read here, on a statement prepared once; what writes goes to the primary', async (t) => {
    const { member, db } = await fixture(t)
    for (let n = 1; n <= 3; n++) {
      const done = await db.insert(person).values({ name: `n${n}` })
      assert.deepEqual(done, { rows: [], changes: 1, lastInsertRowid: n })
      const [row] = await db.select({ name: person.name }).from(person).where(eq(person.id, n))
      assert.deepEqual(row, { name: `n${n}` }, 'a write that was acknowledged is seen')
    }
    assert.deepEqual([member.prepared.length, member.sent.length], [1, 3])
    assert.equal(await db.$count(person), 3)
    const some = db.$with('some').as(db.select().from(person).where(eq(person.id, 2)))
    assert.equal((await db.with(some).select().from(some)).length, 1)
    assert.equal(member.sent.length, 3)
    await db
      .with(some)
      .delete(person)
      .where(eq(person.id, sql`(select id from ${some})`))
    assert.equal(member.sent.length, 4)
    assert.equal(await db.$count(person), 2)
  })

  test("columns keep Drizzle's types through reads and RETURNING", async (t) => {
    const { db } = await fixture(t)
    const values = {
      name: 'Ada',
      born: new Date(-4_865_443_200_000),
      active: false,
      tags: ['a', 'b'],
      key: Buffer.from([0, 255]),
      big: 2n ** 70n,
    }
    const [inserted] = await db.insert(person).values(values).returning()
    assert.deepEqual({ ...inserted, key: Buffer.from(inserted!.key!) }, { id: 1, ...values })
    const got = await db.select().from(person).get()
    assert.deepEqual({ ...got, key: Buffer.from(got!.key!) }, { id: 1, ...values })
    const [updated] = await db
      .update(person)
      .set({ name: 'Grace' })
      .where(eq(person.id, 1))
      .returning({ name: person.name })
    assert.deepEqual(updated, { name: 'Grace' })
    assert.deepEqual(await db.delete(person).returning({ id: person.id }), [{ id: 1 }])
  })

  test('columns of one name, and names that are numbers, do not get mixed up', async (t) => {
    const { db } = await fixture(t)
    await db.insert(person).values(people('Ada', 'Grace'))
    await db.insert(post).values([
      { author: 2, name: 'first' },
      { author: 2, name: 'second' },
    ])
    const joined = db.select().from(post).innerJoin(person, eq(post.author, person.id)).orderBy(post.id)
    const seen = (await joined).map((row) => [row.post.id, row.post.name, row.person.id, row.person.name])
    assert.deepEqual(seen, [
      [1, 'first', 2, 'Grace'],
      [2, 'second', 2, 'Grace'],
    ])
    const numbers = db.select({ name: person.name, two: sql<number>`2`, one: sql<number>`1` }).from(person)
    assert.deepEqual((await numbers)[0], { name: 'Ada', two: 2, one: 1 })
    await db.transaction(async (tx) => {
      const inside = await tx.select().from(post).innerJoin(person, eq(post.author, person.id)).orderBy(post.id)
      assert.deepEqual(
        inside.map((row) => [row.post.id, row.person.id, row.person.name]),
        [
          [1, 2, 'Grace'],
          [2, 2, 'Grace'],
        ],
      )
      assert.deepEqual(
        await tx
          .select({ name: person.name, two: sql<number>`2`, one: sql<number>`1` })
          .from(person)
          .get(),
        {
          name: 'Ada',
          two: 2,
          one: 1,
        },
      )
    })
  })

  test('all, get, values and run; what is not there is undefined', async (t) => {
    const { db } = await fixture(t)
    await db.insert(person).values(people('Ada', 'Grace'))
    const query = db.select({ id: person.id, name: person.name }).from(person).orderBy(person.id)
    assert.deepEqual(await query.all(), [
      { id: 1, name: 'Ada' },
      { id: 2, name: 'Grace' },
    ])
    assert.deepEqual(await query.get(), { id: 1, name: 'Ada' })
    assert.deepEqual(await query.values(), [
      [1, 'Ada'],
      [2, 'Grace'],
    ])
    assert.equal(await db.select().from(person).where(eq(person.id, 9)).get(), undefined)
    assert.equal(await db.query.person.findFirst({ where: eq(person.id, 9) }), undefined)
    assert.equal(await db.get(sql`select 1 where 0`), undefined)
    assert.deepEqual(await db.get(sql`select name, id from person`), ['Ada', 1])
    assert.deepEqual(await db.all(sql`select name from person`), [['Ada'], ['Grace']])
    assert.deepEqual(await db.values(sql`select name from person`), [['Ada'], ['Grace']])
    assert.equal(((await db.run(sql`update person set name = name || '!'`)) as { changes?: number }).changes, 2)
    const prepared = db
      .select({ name: person.name })
      .from(person)
      .where(eq(person.id, sql.placeholder('id')))
      .prepare()
    assert.deepEqual(await prepared.get({ id: 2 }), { name: 'Grace!' })
  })

  test('relational queries', async (t) => {
    const { db } = await fixture(t)
    await db.insert(person).values(people('Ada', 'Grace'))
    await db.insert(post).values({ author: 1, name: 'notes' })
    const found = await db.query.person.findMany({ columns: { name: true }, with: { posts: true } })
    assert.deepEqual(found, [
      { name: 'Ada', posts: [{ id: 1, author: 1, name: 'notes' }] },
      { name: 'Grace', posts: [] },
    ])
    const first = await db.query.post.findFirst({ with: { author: { columns: { name: true } } } })
    assert.deepEqual(first?.author, { name: 'Ada' })
    await db.transaction(async (tx) => {
      await tx.insert(post).values({ author: 2, name: 'more' })
      const grace = await tx.query.person.findFirst({ where: eq(person.id, 2), with: { posts: true } })
      assert.deepEqual(grace?.posts, [{ id: 2, author: 2, name: 'more' }])
    })
  })

  test('errors are ours, as the cause of what Drizzle throws', async (t) => {
    const { db } = await fixture(t)
    await db.insert(person).values({ name: 'Ada' })
    await assert.rejects(db.insert(person).values({ name: 'Ada' }), wrapped('CONFLICT', 'not-committed'))
    await assert.rejects(db.run(sql`begin`), wrapped('INVALID_PARAMS', 'not-committed', /transaction/))
    await assert.rejects(db.all(sql`select ${true}`), wrapped('INVALID_PARAMS', 'not-committed', /1 and 0/))
    await assert.rejects(db.run(sql`delete from person where id = ${{ a: 1 }}`), wrapped('INVALID_PARAMS'))
  })
})

describe('conclave/drizzle: batch', () => {
  test('is one transaction, with the results of each', async (t) => {
    const { db, names } = await fixture(t)
    const [done, rows, first, one, all] = await db.batch([
      db.insert(person).values(people('Ada', 'Grace')),
      db.select({ id: person.id, name: person.name }).from(person).orderBy(person.id),
      db.query.person.findFirst({ columns: { name: true }, orderBy: person.id }),
      db.get(sql`select name, id from person order by id`),
      db.all(sql`select 2 as two, 1 as one`),
    ])
    assert.deepEqual(done, { rows: [], changes: 2, lastInsertRowid: 2 })
    assert.deepEqual(rows, [
      { id: 1, name: 'Ada' },
      { id: 2, name: 'Grace' },
    ])
    assert.deepEqual(first, { name: 'Ada' })
    assert.deepEqual(one, ['Ada', 1])
    assert.deepEqual(all, [[2, 1]])
    const failing = db.batch([db.insert(person).values({ name: 'Linus' }), db.insert(person).values({ name: 'Ada' })])
    await assert.rejects(failing, code('CONFLICT', 'not-committed'))
    assert.deepEqual(names(), ['Ada', 'Grace'])
  })
})

describe('conclave/drizzle: transactions', () => {
  test('commits as one and sees its own writes; a throw and rollback() leave nothing', async (t) => {
    const { db, names } = await fixture(t)
    const seen = await db.transaction(async (tx) => {
      await tx.insert(person).values({ name: 'Ada' })
      assert.equal(await db.$count(person), 0, 'outside it is not seen yet')
      return (await tx.select({ n: count() }).from(person).get())!.n
    })
    assert.equal(seen, 1)
    const thrown = db.transaction(async (tx) => {
      await tx.insert(person).values({ name: 'Grace' })
      throw new RangeError('changed my mind')
    })
    await assert.rejects(thrown, RangeError)
    const rolledBack = db.transaction(async (tx) => {
      await tx.insert(person).values({ name: 'Linus' })
      tx.rollback()
    })
    await assert.rejects(rolledBack, TransactionRollbackError)
    assert.deepEqual(names(), ['Ada'])
  })

  test('one inside another is rolled back by itself', async (t) => {
    const { db, names } = await fixture(t)
    await db.transaction(async (tx) => {
      await tx.insert(person).values({ name: 'Ada' })
      const inner = tx.transaction(async (nested) => {
        await nested.insert(person).values({ name: 'gone' })
        await nested.transaction(async (deeper) => {
          await deeper.insert(person).values({ name: 'gone too' })
        })
        nested.rollback()
      })
      await assert.rejects(inner, TransactionRollbackError)
      await tx.transaction(async (nested) => {
        await nested.insert(person).values({ name: 'Grace' })
        const deeper = nested.transaction((deep) => deep.insert(person).values({ name: 'Grace' }))
        await assert.rejects(deeper, wrapped('CONFLICT'))
      })
    })
    assert.deepEqual(names(), ['Ada', 'Grace'])
  })

  test('two at once are two, one after the other, and plain writes stay outside of both', async (t) => {
    const { primary, db, names } = await fixture(t)
    const other = drizzle(await standIn(t, primary, 'other'), { schema })
    const increment = (on: SqliteRemoteDatabase<Schema>): Promise<void> =>
      on.transaction(async (tx) => {
        const n = (await tx.select({ n: count() }).from(person).get())!.n
        await sleep(2)
        await tx.insert(person).values({ name: `${n}` })
      })
    const failing = db.transaction(async (tx) => {
      await tx.insert(person).values({ name: 'gone' })
      await sleep(2)
      tx.rollback()
    })
    const [, end] = await Promise.allSettled([
      increment(db),
      failing,
      increment(db),
      increment(other),
      increment(other),
    ])
    assert.equal(end.status, 'rejected')
    assert.deepEqual(names(), ['0', '1', '2', '3'], 'nobody saw a count that another was about to change')
  })

  test('its deadline: the next query and the commit say so, the others go on', async (t) => {
    const { db, names } = await fixture(t, { transactionTimeoutMs: 250 })
    const slow = db.transaction(async (tx) => {
      await tx.insert(person).values({ name: 'held' })
      await db.insert(person).values({ name: 'outside' })
      await tx.insert(person).values({ name: 'too late' })
    })
    await assert.rejects(slow, wrapped('TRANSACTION_LOST', 'not-committed', /deadline of 250 ms/))
    const silent = db.transaction(async (tx) => {
      await tx.insert(person).values({ name: 'held' })
      await sleep(400)
    })
    await assert.rejects(silent, code('TRANSACTION_LOST', 'not-committed'))
    assert.deepEqual(names(), ['outside'])
  })

  test('a tx that is kept for later writes nothing', async (t) => {
    const { db, names } = await fixture(t)
    let kept: Pick<typeof db, 'insert'> | undefined
    await db.transaction(async (tx) => {
      kept = tx
    })
    await assert.rejects(Promise.resolve(kept!.insert(person).values({ name: 'late' })), wrapped('CLOSED'))
    assert.deepEqual(names(), [])
  })
})

describe('conclave/drizzle: beside it', () => {
  test("the callbacks serve Drizzle's own proxy, whose transactions are refused with a hint", async (t) => {
    const { member } = await fixture(t)
    const db = proxy(callback(member), batch(member), { schema })
    await db.batch([db.insert(person).values({ name: 'Ada' }), db.insert(person).values({ name: 'Grace' })])
    assert.deepEqual(
      (await db.query.person.findMany()).map(({ name }) => name),
      ['Ada', 'Grace'],
    )
    const refused = db.transaction(async () => assert.fail('it ran'))
    await assert.rejects(refused, wrapped('INVALID_PARAMS', 'not-committed', /db\.transaction/))
  })

  test('logger and cache are passed on', async (t) => {
    const lines: string[] = []
    const { db } = await fixture(t, { logger: { logQuery: (query) => lines.push(query) } })
    await db.select().from(person)
    await db.transaction((tx) => tx.insert(person).values({ name: 'Ada' }))
    assert.deepEqual(
      lines.map((line) => line.split(' ')[0]),
      ['select', 'insert'],
    )
  })

  test("drizzle-kit's files: as migrations of join(), or by Drizzle's own migrate()", async (t) => {
    const migrationsFolder = temporaryDirectory(t, 'kit')
    mkdirSync(join(migrationsFolder, 'meta'))
    const entries = ['0000_a', '0001_b'].map((tag, idx) => ({
      idx,
      version: '6',
      when: 1000 + idx,
      tag,
      breakpoints: true,
    }))
    writeFileSync(
      join(migrationsFolder, 'meta', '_journal.json'),
      JSON.stringify({ version: '7', dialect: 'sqlite', entries }),
    )
    writeFileSync(
      join(migrationsFolder, '0000_a.sql'),
      'CREATE TABLE `a` (`id` integer);\n--> statement-breakpoint\nCREATE INDEX `a_id` ON `a` (`id`);',
    )
    writeFileSync(join(migrationsFolder, '0001_b.sql'), 'ALTER TABLE `a` ADD `b` text')
    const migrations = readMigrationFiles({ migrationsFolder }).map((one) => one.sql.join(';\n'))
    const columns = (primary: Primary): unknown[] =>
      foreign(t, primary.path)
        .prepare('SELECT name FROM pragma_table_info(?)')
        .all('a')
        .map((row) => row['name'])
    assert.deepEqual(columns(await serve(t, freshWorkspace(t), { migrations })), ['id', 'b'])

    const { primary, member, db } = await fixture(t)
    for (let times = 0; times < 2; times++) {
      await migrate(db, async (queries) => void (await member.db.batch(queries.map((query) => [query] as const))), {
        migrationsFolder,
      })
    }
    assert.deepEqual(columns(primary), ['id', 'b'])
  })
})
