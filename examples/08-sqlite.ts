/**
 * One SQLite database for all members of a folder. The primary writes, everybody reads the file; whoever dies, each
 * write that was acknowledged is there once.
 */
import { join } from 'conclave'

const open = (name: string) =>
  join('.', {
    name,
    database: {
      migrations: ['CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)'],
      // Procedures run in the primary, each in a transaction of its own. They are synchronous.
      writes: {
        rename: (tx, { from, to }: { from: string; to: string }) =>
          Number(tx.prepare('UPDATE note SET text = ? WHERE text = ?').run(to, from).changes),
      },
    },
  })
const first = await open('first')
const second = await open('second')

// A watch has its rows at once, and again whenever a table that they come from changes.
const watching = (async () => {
  for await (const rows of second.db.watch<{ text: string }>('SELECT text FROM note ORDER BY id')) {
    if (rows.length === 3) return rows.map(({ text }) => text)
  }
  return []
})()

const { lastInsertRowid } = await second.db.run('INSERT INTO note(text) VALUES (?)', ['milk'])
console.log('note', lastInsertRowid) // prints: note 1

// Reads are local and synchronous, and see what was acknowledged.
const all = second.db.read.prepare<{ id: number; text: string }>('SELECT * FROM note ORDER BY id')
console.log(all.all().map(({ id, text }) => `${id} ${text}`)) // prints: [ '1 milk' ]

console.log(await second.db.writes.rename({ from: 'milk', to: 'oat milk' })) // prints: 1

// A batch is one transaction. A key of one's own: sent again, by whomever, it is not done again.
const bread = [['INSERT INTO note(text) VALUES (?)', ['bread']]] as const
await second.db.batch(bread, { key: 'order 1' })
await first.db.batch(bread, { key: 'order 1' })
console.log(await first.db.outcome('order 1')) // prints: committed

await first.close() // second takes over, and the database with it
await second.db.transaction(async (tx) => {
  const { rows } = await tx.run<{ n: number }>('SELECT count(*) AS n FROM note')
  await tx.run('INSERT INTO note(text) VALUES (?)', [`number ${rows[0]?.n}`])
})
console.log(second.role, all.all().length) // prints: primary 3
console.log((await watching).join(', ')) // prints: oat milk, bread, number 2
await second.close()
