/**
 * A member that does as it is told, one JSON command a line, and says what came of it. Arguments: folder, options of
 * join() as JSON. SIGTERM closes it in order.
 */
import { ConclaveError, join, type Context, type JoinOptions, type Subscription } from 'conclave'
import { commands, ready, say } from '../support/program.ts'

interface Command {
  readonly tag?: string
  readonly call?: string
  readonly params?: unknown
  readonly options?: object
  readonly subscribe?: string
  readonly maxQueued?: number
  readonly publish?: string
  readonly count?: number
  readonly load?: 'calls' | 'events' | 'both'
  readonly stop?: true
  readonly inspect?: true
  readonly block?: number
  readonly last?: number
  /** Of each of the last. */
  readonly bytes?: number
  readonly kill?: true
  readonly close?: true
}

const [folder = '.', given = '{}'] = process.argv.slice(2)
let runs = 0
const methods = {
  echo: (x: unknown) => x,
  who: () => process.pid,
  run: () => ++runs,
  hang: () => new Promise(() => {}),
  exit: () => process.exit(0),
  later: (ms: number) => new Promise((resolve) => setTimeout(resolve, ms, process.pid)),
  block: (ms: number, { caller }: Context) => (block(ms), caller.name),
}
const options = JSON.parse(given) as JoinOptions<never, never, never>
const member = await join(folder, { name: 'member', methods, ...options } as object)
process.once('SIGTERM', () => void member.close())

function block(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}

function fault(error: unknown): object {
  return ConclaveError.is(error)
    ? { code: error.code, outcome: error.outcome, message: error.message }
    : { code: String(error) }
}

let published = 0
let publishing = true

/** For the history: said before it is sent. */
async function publish(topic: string): Promise<void> {
  const item = `${member.id.slice(0, 6)}:${published++}`
  say({ did: 'invoked', item })
  try {
    const seq = await member.publish(topic, item)
    say({ did: 'acknowledged', item, seq })
  } catch (error) {
    say({ did: 'refused', item, outcome: (error as ConclaveError).outcome ?? 'not-committed' })
  }
}

async function load(kind: 'calls' | 'events' | 'both'): Promise<void> {
  const ends: Record<string, number> = {}
  const loops: Promise<void>[] = []
  const calls = async (idempotent: boolean): Promise<void> => {
    const to = idempotent ? ('any' as const) : ('primary' as const)
    while (publishing) {
      const end = await (member as unknown as { call(...args: unknown[]): Promise<unknown> })
        .call('echo', 'x', { idempotent, to })
        .then(
          (x) => (x === 'x' ? 'ok' : 'wrong'),
          (error: ConclaveError) => `${error.code} ${error.outcome}`,
        )
      const name = `${idempotent ? 'idempotent' : 'once'} ${end}`
      ends[name] = (ends[name] ?? 0) + 1
    }
  }
  const events = async (): Promise<void> => {
    while (publishing) {
      await publish('load')
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
  }
  if (kind !== 'events') loops.push(calls(true), calls(true), calls(false), calls(false))
  if (kind !== 'calls') loops.push(events(), events())
  await Promise.all(loops)
  say({ loaded: ends })
}

async function read(
  subscription: Subscription<{ data: unknown; seq: number; term: number; missed: number }>,
): Promise<void> {
  for await (const { data, seq, term, missed } of subscription) say({ did: 'seen', item: data, seq, term, missed })
}

void (async () => {
  for await (const status of member.status()) {
    if (status.type === 'warning') say({ status: 'warning', ...fault(status.error) })
    else if (status.type === 'closed') say({ status: 'closed', reason: status.reason.type })
    else say({ status: status.type, ...status })
  }
})()

ready({ id: member.id, pid: process.pid, role: member.role, term: member.term })
for await (const command of commands<Command>()) {
  const { tag } = command
  if (command.call !== undefined) {
    const { call, params, options: how } = command
    void (member as unknown as { call(...args: unknown[]): Promise<unknown> }).call(call, params, how).then(
      (result) => say({ tag, result }),
      (error: unknown) => say({ tag, ...fault(error) }),
    )
  } else if (command.subscribe !== undefined) {
    const subscription = member.subscribe(command.subscribe, { maxQueued: command.maxQueued ?? 100_000 })
    void read(subscription)
    await subscription.ready
    say({ tag, subscribed: true })
  } else if (command.publish !== undefined) {
    const topic = command.publish
    await Promise.all(Array.from({ length: command.count ?? 1 }, () => publish(topic)))
    say({ tag, published: true })
  } else if (command.load !== undefined) void load(command.load)
  else if (command.stop) publishing = false
  else if (command.inspect) {
    void member.inspect().then(
      (snapshot) => say({ tag, snapshot }),
      (error: unknown) => say({ tag, ...fault(error) }),
    )
  } else if (command.block !== undefined) block(command.block)
  else if (command.last !== undefined) {
    // Rule B12: what was awaited is out, however the process ends next.
    const last: Promise<number>[] = []
    for (let i = 0; i < command.last; i++)
      last.push(member.publish('last', command.bytes === undefined ? i : String(i).padEnd(command.bytes)))
    await Promise.all(last)
    if (command.kill) process.kill(process.pid, 'SIGKILL')
    process.exit(0)
  } else if (command.close) {
    await member.close()
    break
  }
}
