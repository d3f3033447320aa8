/** A member with a database, for the tests of `conclave db`. Arguments: folder, `none` for one without a database. */
import { join } from 'conclave'
import { commands, ready, say } from '../../support/program.ts'

const [folder = '.', which] = process.argv.slice(2)
const database = {
  file: 'shared.db',
  migrations: ['CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT UNIQUE, data)'],
}
const member = await join(folder, { name: 'keeper', ...(which === 'none' ? {} : { database }) })
ready({ role: member.role })
for await (const { sql } of commands<{ sql?: string }>()) {
  if (sql === undefined) continue
  const { changes } = await member.db.run(sql)
  say({ changes })
}
await member.close()
