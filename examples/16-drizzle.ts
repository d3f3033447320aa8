/** Drizzle on the shared database. Reads stay in this process, writes go to the primary. */
import { join } from 'conclave'
import { drizzle } from 'conclave/drizzle'
import { eq, relations } from 'drizzle-orm'
import { integer, sqliteTable, text } from 'drizzle-orm/sqlite-core'

const person = sqliteTable('person', { id: integer().primaryKey(), name: text().notNull() })
const note = sqliteTable('note', {
  id: integer().primaryKey(),
  author: integer().references(() => person.id),
  text: text().notNull(),
})
const schema = {
  person,
  note,
  notes: relations(person, ({ many }) => ({ notes: many(note) })),
  author: relations(note, ({ one }) => ({ author: one(person, { fields: [note.author], references: [person.id] }) })),
}

// Of drizzle-kit: readMigrationFiles({ migrationsFolder }).map(({ sql }) => sql.join(';\n'))
const migrations = [
  'CREATE TABLE person(id INTEGER PRIMARY KEY, name TEXT NOT NULL)',
  'CREATE TABLE note(id INTEGER PRIMARY KEY, author INTEGER REFERENCES person(id), text TEXT NOT NULL)',
]
const member = await join('.', { app: 'notes', database: { file: 'app.db', migrations } })
const db = drizzle(member, { schema })

const [ada] = await db.insert(person).values({ name: 'Ada' }).returning()
console.log(ada) // prints: { id: 1, name: 'Ada' }

// A batch is one transaction in one journey.
await db.batch([
  db.insert(note).values({ author: 1, text: 'first' }),
  db.insert(note).values({ author: 1, text: 'second' }),
])
const found = await db.query.person.findFirst({ with: { notes: { columns: { text: true } } } })
console.log(found?.notes) // prints: [ { text: 'first' }, { text: 'second' } ]

// One inside another can be rolled back by itself.
await db.transaction(async (tx) => {
  await tx.update(note).set({ text: 'changed' }).where(eq(note.id, 1))
  await tx
    .transaction(async (inner) => {
      await inner.delete(note)
      inner.rollback()
    })
    .catch(() => console.log('the notes stay')) // prints: the notes stay
})
console.log((await db.select({ text: note.text }).from(note)).map((row) => row.text)) // prints: [ 'changed', 'second' ]

await member.close()
