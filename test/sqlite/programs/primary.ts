/*
 * A primary of the database room in a process of its own: it writes by itself, as fast as it can, or what it is told.
 * Arguments: folder, durability.
 */
import { openWorkspace } from '../../../src/election/index.ts'
import { posixPlatform } from '../../../src/platform/index.ts'
import { openDatabase, RequestContext, WriteClient, type Durability } from '../../../src/sqlite/index.ts'
import { commands, ready, say } from '../../support/program.ts'

const [folder = '', durability = 'normal'] = process.argv.slice(2)
const workspace = openWorkspace(posixPlatform(), folder, { create: true })
const opened = await openDatabase({
  workspace,
  durability: durability as Durability,
  migrations: ['CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT UNIQUE)'],
})
const coordinator = await opened.serve({
  term: opened.term + 1,
  lock: 'lock',
  holdsSeat: () => true,
  onChanges: () => {},
  onForeignWrite: () => {},
  onLost: (error) => say({ lost: error.code }),
})
const now = (): number => Number(process.hrtime.bigint()) / 1e6
const client = new WriteClient({
  now,
  send: (method, params, over) => coordinator.request(method, params, new RequestContext('self', over.deadline)),
})
ready({ path: opened.path, term: opened.term })
let flowing = false
for await (const { write, flow } of commands<{ write?: string; flow?: string }>()) {
  if (write !== undefined) {
    await client.run('INSERT INTO note(text) VALUES (?)', [write])
    say({ acknowledged: write })
  }
  if (flow !== undefined && !flowing) {
    flowing = true
    for (let line = 0; line < 8; line++) void pour(`${flow}-${line}`)
  }
}

async function pour(name: string): Promise<void> {
  for (let n = 0; ; n++) {
    const item = `${name}-${n}`
    await client.run('INSERT INTO note(text) VALUES (?)', [item])
    say({ did: 'acknowledged', item })
  }
}
