/*
 * A member that writes through Kysely or Drizzle without a pause: plain inserts, and transactions that raise a counter. It
 * says what was acknowledged. Arguments: folder, name, `kysely` or `drizzle`.
 */
import { ConclaveError, join } from 'conclave'
import { commands, ready, say } from '../../support/program.ts'

const [folder = '.', name = '', which = ''] = process.argv.slice(2)
const member = await join(folder, {
  name,
  database: {
    migrations: [
      'CREATE TABLE note(text TEXT PRIMARY KEY)',
      'CREATE TABLE counter(id INTEGER PRIMARY KEY, n INTEGER NOT NULL); INSERT INTO counter VALUES (1, 0)',
    ],
  },
})

interface Builder {
  /** @returns how often the note is there */
  insert(note: string): Promise<number>
  /** In one transaction. */
  count(note: string): Promise<unknown>
}

async function withKysely(): Promise<Builder> {
  const [{ ConclaveDialect }, { Kysely }] = await Promise.all([import('conclave/kysely'), import('kysely')])
  const db = new Kysely<{ note: { text: string }; counter: { id: number; n: number } }>({
    dialect: new ConclaveDialect(member),
  })
  return {
    insert: async (text) => {
      await db.insertInto('note').values({ text }).execute()
      return (await db.selectFrom('note').selectAll().where('text', '=', text).execute()).length
    },
    count: (text) =>
      db.transaction().execute(async (trx) => {
        const { n } = await trx.selectFrom('counter').select('n').executeTakeFirstOrThrow()
        await trx.insertInto('note').values({ text }).execute()
        await trx
          .updateTable('counter')
          .set({ n: n + 1 })
          .execute()
      }),
  }
}

async function withDrizzle(): Promise<Builder> {
  const [{ drizzle }, { eq }, { integer, sqliteTable, text }] = await Promise.all([
    import('conclave/drizzle'),
    import('drizzle-orm'),
    import('drizzle-orm/sqlite-core'),
  ])
  const note = sqliteTable('note', { text: text().primaryKey() })
  const counter = sqliteTable('counter', { id: integer().primaryKey(), n: integer().notNull() })
  const db = drizzle(member)
  return {
    insert: async (text) => {
      await db.insert(note).values({ text })
      return db.$count(note, eq(note.text, text))
    },
    count: (text) =>
      db.transaction(async (tx) => {
        const { n } = (await tx.select().from(counter).get())!
        await tx.insert(note).values({ text })
        await tx.update(counter).set({ n: n + 1 })
      }),
  }
}

/** What was rolled back by a change of primary is done again; anything else ends the program. */
async function lasting(work: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await work()
      return
    } catch (error) {
      const ours = ConclaveError.is(error) ? error : (error as Error).cause
      if (!ConclaveError.is(ours, 'TRANSACTION_LOST') || ours.outcome !== 'not-committed') throw error
      say({ lost: true })
    }
  }
}

const builder = await (which === 'kysely' ? withKysely() : withDrizzle())
let stopping = false

async function flow(): Promise<void> {
  for (let n = 0; !stopping; n++) {
    const plain = `${name} plain ${n}`
    if ((await builder.insert(plain)) !== 1) throw new Error(`${plain} was acknowledged and is not seen`)
    say({ acknowledged: plain })
    const counted = `${name} counted ${n}`
    await lasting(() => builder.count(counted))
    say({ acknowledged: counted })
  }
}

ready({ role: member.role })
let flowing: Promise<void> | undefined
for await (const { go } of commands<{ go?: boolean }>()) {
  if (go === true) flowing = flow()
}
stopping = true
await flowing
await member.close()
