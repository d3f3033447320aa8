/**
 * A primary of the database room on a disk that fills. Arguments: folder, durability. A file `ballast` beside the
 * folder's own is what can be given up. Commands: fill (writes until some are refused), room (gives the ballast up),
 * ask (what became of those whose outcome was not known), write, close.
 */
import { randomBytes } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openWorkspace } from '../../../src/election/index.ts'
import { ConclaveError } from '../../../src/errors/index.ts'
import { posixPlatform } from '../../../src/platform/index.ts'
import { openDatabase, RequestContext, WriteClient, type Durability } from '../../../src/sqlite/index.ts'
import { commands, ready, say } from '../../support/program.ts'

const [folder = '', durability = 'normal'] = process.argv.slice(2)
const BALLAST_BYTES = 400_000
const REFUSALS = 5
const ballast = join(folder, 'ballast')
writeFileSync(ballast, Buffer.alloc(BALLAST_BYTES))

const opened = await openDatabase({
  workspace: openWorkspace(posixPlatform(), folder, { create: true }),
  durability: durability as Durability,
  migrations: ['CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT UNIQUE, body TEXT)'],
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
const clients = ['one', 'two', 'three'].map(
  (member) =>
    new WriteClient({
      now,
      send: (method, params, over) => coordinator.request(method, params, new RequestContext(member, over.deadline)),
    }),
)

/** Refused, and not known whether for good: who wrote it, and the key to ask with. */
const open: [client: WriteClient, item: string, key: string][] = []

async function write(client: WriteClient, item: string): Promise<boolean> {
  const body = randomBytes(1500).toString('hex')
  try {
    await client.run('INSERT INTO note(text, body) VALUES (?, ?)', [item, body])
    say({ did: 'acknowledged', item })
    return true
  } catch (error) {
    const { code, outcome, reason, message, key } = error as ConclaveError
    if (outcome === 'unknown' && key !== undefined) open.push([client, item, key])
    say({ did: 'refused', item, typed: ConclaveError.is(error), code, outcome, reason, message })
    return false
  }
}

async function fill(client: WriteClient, name: string): Promise<void> {
  let refused = 0
  for (let n = 0; refused < REFUSALS; n++) if (!(await write(client, `${name}-${n}`))) refused++
}

ready({ path: opened.path })
for await (const command of commands<{ fill?: string; room?: true; ask?: true; write?: string; close?: true }>()) {
  if (command.fill !== undefined) {
    await Promise.all(clients.map((client, i) => fill(client, `${command.fill}-${i}`)))
    say({ filled: true })
  } else if (command.room) {
    rmSync(ballast)
    say({ room: true })
  } else if (command.ask) {
    for (const [client, item, key] of open) say({ did: 'asked', item, outcome: await client.outcome(key) })
    say({ asked: true })
  } else if (command.write !== undefined) {
    await write(clients[0]!, command.write)
  } else if (command.close) {
    await opened.close(new ConclaveError('PRIMARY_LOST', 'closed by the test', { outcome: 'unknown' }))
    break
  }
}
