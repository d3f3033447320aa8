/** Kysely on the shared database: three changed lines. Reads stay in this process, writes go to the primary. */
import { join } from 'conclave'
import { ConclaveDialect } from 'conclave/kysely'
import { Kysely, type Generated } from 'kysely'

interface Tables {
  note: { id: Generated<number>; text: string; likes: Generated<number> }
}

// Before: new SqliteDialect({ database: new SQLite('app.db') })
const open = () =>
  join('.', {
    app: 'notes',
    database: {
      file: 'app.db',
      migrations: ['CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL, likes INTEGER NOT NULL DEFAULT 0)'],
    },
  })
const db = new Kysely<Tables>({ dialect: new ConclaveDialect(open) }) // joins with the first query
const other = new Kysely<Tables>({ dialect: new ConclaveDialect(open) }) // as another process would

const { insertId } = await db.insertInto('note').values({ text: 'hello' }).executeTakeFirstOrThrow()
console.log('note', insertId) // prints: note 1n
console.log((await other.selectFrom('note').select('text').execute())[0]?.text) // prints: hello

// A transaction holds the one writer: two at once run one after the other, and neither like is lost.
const like = (on: Kysely<Tables>) =>
  on.transaction().execute(async (trx) => {
    const { likes } = await trx.selectFrom('note').select('likes').where('id', '=', 1).executeTakeFirstOrThrow()
    await trx
      .updateTable('note')
      .set({ likes: likes + 1 })
      .where('id', '=', 1)
      .execute()
  })
await Promise.all([like(db), like(other)])

await db.destroy() // closes the member that it opened: the other one takes over
const { likes } = await other.updateTable('note').set({ text: 'bye' }).returning('likes').executeTakeFirstOrThrow()
console.log(likes, 'likes') // prints: 2 likes
await other.destroy()
