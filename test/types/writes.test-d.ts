import { z } from 'zod'
import type { Database, Tx } from '../../src/member/database.ts'
import type { Inferred, Member } from '../../src/member/types.ts'
import { same, type Equal } from './equal.ts'
import { defineContract, join } from './face.ts'

const contract = defineContract({
  writes: { add: { params: z.object({ text: z.string() }), result: z.number(), sensitive: true }, clear: {} },
})

async function writing(db: Database<typeof contract>): Promise<void> {
  const id = await db.writes.add({ text: 'x' }, { key: 'request 7' })
  same<Equal<typeof id, number>>()
  const nothing = await db.writes.clear()
  same<Equal<typeof nothing, void>>()
  // @ts-expect-error params of another type
  await db.writes.add({ text: 1 })
  // @ts-expect-error a write that the contract does not have
  await db.writes.remove(1)

  const rows = db.read.prepare<{ id: number }>('select id from note').all()
  same<Equal<typeof rows, { id: number }[]>>()
  // @ts-expect-error reading only
  db.read.prepare('delete from note').run()
}

async function procedures(): Promise<void> {
  await join('.', {
    contract,
    database: {
      writes: {
        add: (tx, { text }) => {
          same<Equal<typeof tx, Tx>>()
          return text.length
        },
        clear: (tx) => tx.exec('delete from note'),
      },
    },
  })
  // @ts-expect-error a contract's writes are all there, or none
  await join('.', { contract, database: { writes: { clear: () => {} } } })
  // @ts-expect-error a procedure is synchronous (rule A4)
  await join('.', { contract, database: { writes: { add: async () => 1, clear: () => {} } } })
  // @ts-expect-error also without a contract
  await join('.', { database: { writes: { add: async (tx: Tx) => void tx } } })
  await join('.', { database: { migrations: ['create table note(id)', (tx) => tx.exec('')] } })
}

async function aContractWithoutWrites(member: Member): Promise<void> {
  const reads = defineContract({ methods: { count: { result: z.number() } } })
  const other = await join('.', { contract: reads, database: { writes: { add: (tx, text: string) => text.length } } })
  const id = await other.db.writes['add']!('x', { key: 'k' })
  same<Equal<typeof id, unknown>>()
  await member.db.writes['add']!({ text: 'x' })
  // @ts-expect-error a procedure is synchronous (rule A4)
  await join('.', { contract: reads, database: { writes: { add: async () => 1 } } })
}

type Given = Inferred<object, { add: (tx: Tx, params: { text: string }) => number; clear: (tx: Tx) => void }>

async function inferred(db: Database<Given>): Promise<void> {
  const id = await db.writes.add({ text: 'x' })
  same<Equal<typeof id, number>>()
  await db.writes.clear()
  // @ts-expect-error params of another type
  await db.writes.add(1)
}

// Nothing here is run.
void [writing, procedures, aContractWithoutWrites, inferred]
