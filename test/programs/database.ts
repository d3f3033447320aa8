/**
 * A member with a database that does as it is told, one JSON command a line, and says what came of it. Arguments: folder,
 * options of join() as JSON. SIGTERM closes it in order.
 */
import { ConclaveError, join, type Member } from 'conclave'
import type { SqlValue, Tx } from '../../src/member/database.ts'
import { commands, ready, say } from '../support/program.ts'

interface Command {
  readonly tag?: string
  readonly run?: string
  readonly params?: readonly SqlValue[]
  readonly options?: object
  /** A transaction that inserts this text and stays open until `release`, or for good. */
  readonly hold?: string
  readonly retry?: boolean
  readonly release?: true
  readonly watch?: string
  readonly read?: string
  readonly outcome?: string
  /** Writers that go on, each awaiting one write at a time. */
  readonly load?: number
  readonly stop?: true
  readonly inspect?: true
  /** So many writes, and process.exit() when all are acknowledged. */
  readonly last?: number
  readonly close?: true
}

const INSERT = 'insert into note(text) values (?)'
const [folder = '.', given = '{}'] = process.argv.slice(2)
const { quiet = false, ...options } = JSON.parse(given) as { readonly quiet?: boolean; readonly database?: object }
const database = {
  migrations: ['create table note(id integer primary key, text text)'],
  writes: { add: (tx: Tx, text: string) => void tx.prepare(INSERT).run(text) },
  ...options.database,
}
const member = (await join(folder, { name: 'database', ...options, database })) as unknown as Member & {
  readonly db: { readonly writes: { add(text: string): Promise<unknown> } }
}
const { db } = member
let written = 0
let writing = true
let release = (): void => {}
process.once('SIGTERM', () => void member.close())
void member.closed.then(() => {
  writing = false
  process.stdin.destroy()
})

function fault(error: unknown): object {
  if (!ConclaveError.is(error)) return { code: String(error) }
  const { code, outcome, key, message } = error
  return { code, outcome, key, message }
}

function tell(tag: string | undefined, done: Promise<object>): void {
  done.then(
    (answer) => say({ tag, ...answer }),
    (error: unknown) => say({ tag, ...fault(error) }),
  )
}

/** For the history: said before it is sent. */
async function write(by: number): Promise<void> {
  const item = `${member.id.slice(0, 6)}.${by}:${written++}`
  say({ did: 'invoked', item })
  try {
    if (by % 3 === 0) await db.run(INSERT, [item])
    else if (by % 3 === 1) await db.writes.add(item)
    else await db.batch([[INSERT, [item]], ['select count(*) from note']])
    say({ did: 'acknowledged', item })
  } catch (error) {
    say({ did: 'refused', item, outcome: 'not-committed', ...fault(error) })
  }
}

async function load(by: number): Promise<void> {
  while (writing) await write(by)
  say({ loaded: by })
}

async function hold(text: string, how: object): Promise<object> {
  let runs = 0
  await db.transaction(async (tx) => {
    await tx.run(INSERT, [text])
    runs++
    const released = new Promise<void>((resolve) => (release = resolve))
    say({ held: text, runs })
    await released
    await tx.run('select 1')
  }, how)
  return { committed: text, runs }
}

async function watch(sql: string): Promise<object> {
  for await (const rows of db.watch(sql)) say({ rows })
  return { watched: true }
}

if (!quiet) {
  void (async () => {
    for await (const status of member.status()) {
      if (status.type === 'warning') say({ status: 'warning', ...fault(status.error) })
      else if (status.type === 'closed') say({ status: 'closed', reason: status.reason.type })
      else say({ status: status.type, ...status })
    }
  })()
}

async function obey(): Promise<void> {
  for await (const command of commands<Command>()) {
    const { tag, params = [], options: how = {} } = command
    if (command.run !== undefined)
      tell(
        tag,
        db.run(command.run, params, how).then((result) => ({ result })),
      )
    else if (command.hold !== undefined) tell(tag, hold(command.hold, how))
    else if (command.release) release()
    else if (command.watch !== undefined) tell(tag, watch(command.watch))
    else if (command.read !== undefined) tell(tag, Promise.resolve({ rows: db.read.prepare(command.read).all() }))
    else if (command.outcome !== undefined)
      tell(
        tag,
        db.outcome(command.outcome).then((outcome) => ({ outcome })),
      )
    else if (command.load !== undefined) for (let by = 0; by < command.load; by++) void load(by)
    else if (command.stop) writing = false
    else if (command.inspect)
      tell(
        tag,
        member.inspect().then((snapshot) => ({ snapshot })),
      )
    else if (command.last !== undefined) {
      await Promise.all(Array.from({ length: command.last }, (_, at) => write(at)))
      process.exit(0)
    } else if (command.close) {
      await member.close()
      break
    }
  }
}

ready({ id: member.id, pid: process.pid, role: member.role, term: member.term })
if (quiet) {
  // With `ref: false` all of this must not keep the process alive.
  await db.writes.add('quiet')
  void watch('select count(*) as n from note')
  db.read.prepare('select * from note').iterate().next()
  say({ written: db.read.prepare('select count(*) as n from note').get() })
} else void obey()
