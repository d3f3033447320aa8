/**
 * A process of a chaos run: does as it is told, one JSON command a line, one answer for each. What counts for the
 * checkers goes into its journal and the witness file, never through this pipe.
 */
import { flushCompileCache } from 'node:module'
import { join as joinPath } from 'node:path'
import { ConclaveError, join, type Context, type Member } from 'conclave'
import { commands, ready, say } from '../../support/program.ts'
import type { Command, JoinCommand } from '../support/commands.ts'
import { now } from '../support/clock.ts'
import { JournalFile } from './journal.ts'
import { Load, type Writing } from './load.ts'
import { Subscriptions } from './subscriptions.ts'
import { usage } from './usage.ts'
import { Witness } from './witness.ts'

const journal = new JournalFile()
let member: (Member & Partial<Writing>) | undefined
let load: Load | undefined
let subscriptions: Subscriptions | undefined
/** Counts the members of this process: a rejoin makes another one. */
let incarnation = 0

const methods = {
  /** Runs once and says so. */
  work: ({ item, ms }: { item: string; ms: number }) => {
    journal.write({ k: 'run', item })
    return ms === 0 ? item : new Promise((resolve) => setTimeout(resolve, ms, item))
  },
  exit: ({ item }: { item: string }) => {
    journal.write({ k: 'run', item })
    process.exit(0)
  },
  who: (_: undefined, context: Context) => ({ pid: process.pid, member: context.member.id, term: context.member.term }),
}

function present(): Member & Partial<Writing> {
  if (member === undefined) throw new Error('not a member')
  return member
}

async function enter(command: JoinCommand): Promise<object> {
  process.env['XDG_RUNTIME_DIR'] = command.runtime
  journal.open(joinPath(command.round, 'journals', `${command.name}-${process.pid}.jsonl`))
  const witness = new Witness(command.round)
  if (command.at !== undefined) await until(command.at)
  for (;;) {
    const since = now()
    journal.write({ k: 'joining' })
    try {
      const joined = await join(joinPath(command.round, 'w'), {
        name: command.name,
        methods,
        whilePrimary: ({ member: self, term }: { member: Member; term: number }) => {
          witness.begin(self.id, term)
          return async () => {
            if (command.slowStopMs !== undefined)
              await new Promise((resolve) => setTimeout(resolve, command.slowStopMs))
            witness.end(self.id, term)
          }
        },
        ...command.options,
      } as object)
      incarnation++
      member = joined as Member & Partial<Writing>
      journal.write({ k: 'joined', since, member: joined.id, term: joined.term, primary: joined.primary?.id ?? '' })
      load = new Load(joined as Member & Partial<Writing>, journal, `${command.name}.${process.pid}.${incarnation}`)
      subscriptions = new Subscriptions(joined as Member, journal, incarnation)
      void follow(joined as Member, command)
      return { member: joined.id, role: joined.role, term: joined.term }
    } catch (error) {
      const { code, message } = error as ConclaveError
      journal.write({ k: 'refused', code, text: message })
      if (command.persistent !== true || !ConclaveError.is(error)) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

/** As a supervisor would: a member whose workspace was replaced joins the new one. */
async function follow(joined: Member, command: JoinCommand): Promise<void> {
  const reason = await joined.closed
  journal.write({ k: 'left', why: reason.type })
  if (member !== joined) return
  member = undefined
  if (reason.type === 'workspace-gone') await enter({ ...command, at: undefined, persistent: true })
}

/** Sleeps, then spins: processes begin within microseconds of each other. */
async function until(at: number): Promise<void> {
  const ms = (at - now()) / 1000 - 1
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms))
  while (now() < at);
}

async function view(): Promise<object> {
  const asked = now()
  const {
    pid,
    member: id,
    term,
  } = (await present().call('who', undefined, { timeoutMs: 5000 } as never)) as {
    pid: number
    member: string
    term: number
  }
  return { asked, answered: now(), pid, member: id, term, own: present().term }
}

function exhaust(): void {
  const held: unknown[] = []
  for (;;) held.push(Array.from({ length: 10_000 }, (_, i) => ({ i })))
}

async function obey(command: Command): Promise<object> {
  switch (command.do) {
    case 'join':
      return enter(command)
    case 'view':
      return view()
    case 'self':
      return { member: present().id }
    case 'load':
      load!.start(command)
      return {}
    case 'unload':
      return (await load?.stop()) ?? {}
    case 'call':
      return load!.call(command.method, command.to, false)
    case 'publish':
      await load!.publishMany(command.topic, command.count, command.bytes)
      return {}
    case 'mark':
      return { items: await load!.marks(command.topics) }
    case 'subscribe':
      return { seq: await subscriptions!.add(command) }
    case 'seen':
      return subscriptions!.progress(command.marks)
    case 'inspect':
      return { snapshot: await present().inspect() }
    case 'usage':
      return usage(member as Member | undefined)
    case 'leave': {
      const leaving = member
      member = undefined
      if (command.how === 'abort') leaving?.abort(new Error('the round is over'))
      else await leaving?.close()
      await leaving?.closed
      await subscriptions?.over()
      subscriptions = undefined
      load = undefined
      journal.close()
      return {}
    }
    case 'exhaust':
      setImmediate(exhaust)
      return {}
  }
}

// A terminal sends it to all of a run's processes; the coordinator decides.
process.on('SIGINT', () => {})
process.once('SIGTERM', () => {
  const leaving = member
  void (leaving?.close() ?? Promise.resolve()).then(() => process.exit(0))
})

// Most workers are killed before they could leave it at their exit. Node 22.13 on.
flushCompileCache()
ready({ pid: process.pid })
for await (const command of commands<Command & { tag: number }>()) {
  obey(command).then(
    (answer) => say({ tag: command.tag, ...answer }),
    (error: unknown) => {
      const { code, message, stack } = error as ConclaveError
      say({ tag: command.tag, failed: { code: code ?? 'none', message, stack } })
    },
  )
}
process.exit(0)
