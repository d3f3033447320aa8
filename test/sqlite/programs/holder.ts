/* Begins a read and does not end it. Argument: the database. */
import { DatabaseSync } from 'node:sqlite'
import { commands, ready } from '../../support/program.ts'

const database = new DatabaseSync(process.argv[2] ?? '', { readOnly: true })
const rows = database.prepare('SELECT * FROM note').iterate()
rows.next()
ready()
for await (const _ of commands()) rows.next()
