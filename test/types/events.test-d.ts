import { z } from 'zod'
import type { Event, SystemEvents, Subscription } from '../../src/events/types.ts'
import type { Member, Pattern, Topic } from '../../src/member/types.ts'
import { same, type Equal } from './equal.ts'
import { defineContract } from './face.ts'

const contract = defineContract({
  events: {
    'file.changed': { data: z.object({ path: z.string() }) },
    'file.removed': { data: z.string() },
    'job.*.done': { data: z.number() },
    'log.>': { data: z.object({ line: z.string(), level: z.number().default(0) }) },
    tick: { data: z.string().transform(Number), sensitive: true },
  },
})
type C = typeof contract

type Changed = Event<'file.changed', { path: string }>
type Removed = Event<'file.removed', string>
type Done = Event<`job.${string}.done`, number>
type Logged = Event<`log.${string}`, { line: string; level: number }>
type Tick = Event<'tick', number>

same<Equal<Topic<C>, 'file.changed' | 'file.removed' | `job.${string}.done` | `log.${string}` | 'tick'>>()

async function publishing(member: Member<C>): Promise<void> {
  const seq = await member.publish('file.changed', { path: 'a' })
  same<Equal<typeof seq, number>>()
  void member.publish('job.7.done', 1)
  // The publisher passes what goes in, with its defaults left out.
  void member.publish('log.web.access', { line: 'x' })
  void member.publish('tick', '1')
  void member.publish('file.removed', 'a', { sensitive: true })
  // @ts-expect-error true or false
  void member.publish('file.removed', 'a', { sensitive: 'yes' })
  // @ts-expect-error a topic that the contract does not have
  void member.publish('file.renamed', 'a')
  // @ts-expect-error data of another type
  void member.publish('file.changed', 'a')
  // @ts-expect-error data of another topic
  void member.publish('job.7.done', { line: 'x' })
  // @ts-expect-error the system's own
  void member.publish('$member.joined', { id: '', name: '', pid: 0 })
}

async function subscribing(member: Member<C>): Promise<void> {
  const one = member.subscribe('file.changed', { from: { last: 5 }, overflow: 'drop-newest' })
  same<Equal<typeof one, Subscription<Changed>>>()
  const files = member.subscribe('file.*')
  same<Equal<typeof files, Subscription<Changed | Removed>>>()
  const below = member.subscribe('file.>')
  same<Equal<typeof below, Subscription<Changed | Removed>>>()
  const done = member.subscribe('job.*.done')
  same<Equal<typeof done, Subscription<Done>>>()
  const job = member.subscribe('job.7.done')
  for await (const e of job) same<Equal<typeof e.data, number>>()
  const logs = member.subscribe('log.>')
  same<Equal<typeof logs, Subscription<Logged>>>()
  const single = member.subscribe('*')
  for await (const e of single) same<Equal<Extract<typeof e, Tick>, Tick>>()
  const all = member.subscribe('>')
  same<Equal<typeof all, Subscription<Changed | Removed | Done | Logged | Tick>>>()

  // The topic tells the union apart.
  for await (const e of all) {
    if (e.topic === 'file.changed') same<Equal<typeof e.data, { path: string }>>()
    if (e.topic === 'tick') same<Equal<typeof e.data, number>>()
  }
  for await (const e of files) {
    if (e.topic === 'file.changed') same<Equal<typeof e.data, { path: string }>>()
    else same<Equal<typeof e.data, string>>()
  }

  const joined = member.on('$member.joined', (e) => same<Equal<typeof e.data.id, string>>())
  same<Equal<typeof joined.ready, Promise<number>>>()
  for await (const e of member.subscribe('$member.*')) same<Equal<typeof e.topic, '$member.joined' | '$member.left'>>()

  // @ts-expect-error nothing of the contract begins so
  member.subscribe('files.*')
  // @ts-expect-error a topic that the contract does not have
  member.subscribe('file.renamed')
  // @ts-expect-error a system topic that does not exist
  member.on('$member.jioned', () => {})
  // @ts-expect-error
  member.subscribe('tick', { overflow: 'block' })
  const patterns: Pattern<C>[] = [
    '>',
    '*',
    '*.changed',
    'file.>',
    'job.>',
    'log.a.b',
    ...([] as (keyof SystemEvents)[]),
  ]
  void patterns
}

async function withoutAContract(member: Member): Promise<void> {
  void member.publish('any.topic', { any: 'data' })
  for await (const e of member.subscribe('any.*')) {
    same<Equal<typeof e, Event<`any.${string}`>>>()
    same<Equal<typeof e.data, unknown>>()
    if (e.missed > 0) same<Equal<typeof e.exact, boolean>>()
    same<Equal<typeof e.missedAtLeast, number>>()
    same<Equal<typeof e.sensitive, boolean>>()
  }
  member.on('$primary.changed', (e) => same<Equal<typeof e.data.pid, number>>())
}

// Nothing here is run.
void [publishing, subscribing, withoutAContract]
