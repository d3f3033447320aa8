/* oxlint-disable no-console -- written as a user would */
// (11) v1 runs in three editors, v2 starts. v2 takes the seat, migrates, serves v1's calls and writes; v1 stays as 'never'.
import { join, ConclaveError } from '../face.ts'
const v1 = ['create table note(id integer primary key, text text not null)']
const v2 = [...v1, 'alter table note add column tag text']
const member = await join('.', {
  app: 'notes',
  version: 2,
  minVersion: 1, // additive: v1 may stay. minVersion: 2 would end v1 with SUPERSEDED
  database: {
    migrations: v2,
    writes: {
      add: (tx, p: { text: string; tag?: string }) => {
        tx.prepare('insert into note(text, tag) values (?, ?)').run(p.text, p.tag ?? null)
      },
    },
  },
})
void member.closed.then((why) => {
  if (why.type === 'superseded' && ConclaveError.is(why.error, 'SUPERSEDED')) {
    console.error(why.error.message)
    process.exit(75)
  }
})
