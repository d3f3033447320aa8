/* Checked by the compiler, never run. */
import type { Member } from 'conclave'
import { drizzle } from 'conclave/drizzle'
import { ConclaveDialect } from 'conclave/kysely'
import { sqliteTable, integer } from 'drizzle-orm/sqlite-core'
import type { SqliteRemoteDatabase } from 'drizzle-orm/sqlite-proxy'

declare const member: Member
declare function open(): Promise<Member<{ readonly methods: Record<never, never> }>>

new ConclaveDialect(member)
new ConclaveDialect(open, { transactionTimeoutMs: 5000 })
new ConclaveDialect(() => member)
// @ts-expect-error there is no such option
new ConclaveDialect(member, { timeoutMs: 5000 })
// @ts-expect-error it has no `db`
new ConclaveDialect({ close: async () => {} })

const note = sqliteTable('note', { id: integer().primaryKey() })
const db = drizzle(member, { schema: { note }, transactionTimeoutMs: 5000 })
const remote: SqliteRemoteDatabase<{ note: typeof note }> = db
const rows: Promise<{ id: number }[]> = db.query.note.findMany().execute()
const inside: Promise<number> = db.transaction(async (tx) => (await tx.query.note.findMany()).length)
export { inside, remote, rows }
