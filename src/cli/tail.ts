import type { Event, Member, SubscribeOptions } from '../index.ts'
import type { Given } from './args.ts'
import { PLACE, WAIT } from './common.ts'
import { withMember } from './connect.ts'
import { EXIT, UsageError } from './exit.ts'
import { printable, type Output } from './output.ts'
import type { Surroundings, Verb } from './verb.ts'

/** Events that may wait for the terminal. */
const MAX_QUEUED = 100_000

export const tail: Verb = {
  usage: '<pattern> [folder] [--from earliest|last=N|after=SEQ] [--count N] [--wait MS] [--json]',
  about: `Prints events as they come: time, topic, data, publisher. Patterns have the wildcards of NATS: session.* is one
word, session.> any number. Topics that begin with $ are the system's own: '$member.*', '$primary.changed'.
Lost events are said right before the next one. It goes on through a change of primary, and waits for the next one.
With --json one object a line; missed is null when nobody knows how many, and missedAtLeast says how many are certain.
Data that its publisher marked sensitive is shown as [sensitive], with --json as null beside "sensitive": true.`,
  words: [1, 2],
  options: {
    from: {
      type: 'string',
      value: 'WHERE',
      help: 'earliest, last=N or after=SEQ: what the primary still holds (default: now)',
    },
    count: { type: 'string', short: 'n', value: 'N', help: 'end after so many events' },
    'show-sensitive': { type: 'boolean', help: 'show data that is marked sensitive too' },
    ...PLACE,
    ...WAIT,
  },
  examples: [
    "conclave tail '>'",
    "conclave tail 'session.*' --from last=10",
    "conclave tail 'job.>' --json | jq .data",
  ],
  run: (given, around) => {
    const from = fromOf(given.text('from'))
    const count = given.number('count', { min: 1 }) ?? Infinity
    return withMember(given, { folder: given.words[1], signal: around.signal }, (member) =>
      follow(member, given, around, from, count),
    )
  },
}

async function follow(
  member: Member,
  given: Given,
  { out, err, signal }: Surroundings,
  from: SubscribeOptions['from'],
  count: number,
): Promise<number> {
  const json = given.has('json')
  const discreet = !given.has('show-sensitive')
  const events = member.subscribe(given.words[0] ?? '>', { from, maxQueued: MAX_QUEUED, signal })
  if (!json) void tellChanges(member, err)
  let left = count
  for await (const event of events) {
    await (json ? out.json(jsonOf(event, discreet)) : print(out, event, discreet))
    if (--left <= 0 || out.broken) break
  }
  signal.throwIfAborted()
  const reason = left <= 0 ? undefined : await member.closed
  if (reason !== undefined && 'error' in reason) throw reason.error
  return EXIT.ok
}

function jsonOf({ missed, ...event }: Event, discreet: boolean): object {
  const shown = discreet && event.sensitive ? { ...event, data: null } : event
  return { ...shown, missed: Number.isFinite(missed) ? missed : null }
}

async function print(out: Output, event: Event, discreet: boolean): Promise<void> {
  const { topic, data, publisher, time, sensitive, missed, missedAtLeast, exact } = event
  if (missed > 0) {
    const many = exact ? String(missed) : missedAtLeast > 0 ? `at least ${missedAtLeast}` : 'an unknown number of'
    await out.line(out.style('yellow', `--- ${many} events missed ---`))
  }
  const clock = new Date(time).toISOString().slice(11, 23)
  const from = out.style('dim', `${printable(publisher.name)} ${publisher.pid}`)
  const body = discreet && sensitive ? '[sensitive]' : printable(JSON.stringify(data) ?? '')
  await out.line(`${out.style('dim', clock)}  ${out.style('cyan', printable(topic))}  ${body}  ${from}`)
}

/** What happens to the bus itself: for people, beside the events. */
async function tellChanges(member: Member, err: Output): Promise<void> {
  let lost = false
  for await (const status of member.status()) {
    if (status.type === 'primary-lost') {
      lost = true
      await err.line(err.style('dim', `--- the primary of term ${status.term} is ${status.cause} ---`))
    } else if (status.type === 'primary-found' && lost) {
      lost = false
      const { primary, term, afterMs } = status
      const after = afterMs > 0 ? ` after ${afterMs.toFixed(1)} ms` : ''
      await err.line(
        err.style('dim', `--- ${printable(primary.name)} (pid ${primary.pid}) is primary of term ${term}${after} ---`),
      )
    }
  }
}

function fromOf(text: string | undefined): SubscribeOptions['from'] {
  if (text === undefined || text === 'now' || text === 'earliest') return text
  const [, what, number] = /^(last|after)=(\d{1,16})$/.exec(text) ?? []
  if (what === undefined) throw new UsageError(`--from needs earliest, last=N or after=SEQ, not "${text}".`)
  return what === 'last' ? { last: Number(number) } : { after: Number(number) }
}
