import type { MemberSnapshot, Snapshot } from '../index.ts'
import { PLACE, WAIT } from './common.ts'
import { withMember } from './connect.ts'
import { EXIT } from './exit.ts'
import { printable, type Output } from './output.ts'
import { bytes, table } from './table.ts'
import type { Verb } from './verb.ts'

const METHODS_WIDTH = 40

export const status: Verb = {
  usage: '[folder] [--app APP] [--wait MS] [--json]',
  about: `Asks the primary who is here, what waits in queues, what was lost, and what it counted since its term began.
Exit 3 when nobody is primary. It only looks: it never stands for election and never touches the lock.`,
  words: [0, 1],
  options: { ...PLACE, ...WAIT },
  run: (given, { out, signal }) =>
    withMember(given, { folder: given.words[0], signal }, async (member) => {
      const snapshot = withoutOurselves(await member.inspect(), member.id)
      if (given.has('json')) await out.json(snapshot)
      else await print(out, snapshot)
      return EXIT.ok
    }),
}

/** Who asks is not part of the answer. */
function withoutOurselves(snapshot: Snapshot, id: string): Snapshot {
  return {
    ...snapshot,
    members: snapshot.members.filter((member) => member.id !== id),
    links: snapshot.links.filter(({ member }) => member !== id),
  }
}

async function print(out: Output, snapshot: Snapshot): Promise<void> {
  const { workspace, term, primary, members, links, queues, drops, counters } = snapshot
  const heading = (text: string): Promise<void> => out.line(out.style('bold', text))
  await out.line(`${out.style('bold', 'workspace')}  ${printable(workspace)}`)
  await out.line(`${out.style('bold', 'primary')}    ${printable(primary.name)} (pid ${primary.pid}), term ${term}`)
  await out.line()
  const [head = '', ...rows] = table(['NAME', 'PID', 'ROLE', 'JOINED', 'ID', 'METHODS'], members.map(memberRow))
  await heading(head)
  for (const row of rows) await out.line(row)
  await out.line()
  const busy = links.filter((link) => link.outgoingBytes + link.queuedEvents + link.pendingCalls + link.dropped > 0)
  const { events, calls } = queues
  await out.line(
    `${out.style('bold', 'queues')}     ${events.count} events (${bytes(events.bytes)}), ${calls.count} calls (${bytes(calls.bytes)})`,
  )
  await out.line(`${out.style('bold', 'drops')}      ${drops} events lost at full queues`)
  await out.line(`${out.style('bold', 'links')}      ${links.length}, of which ${busy.length} have something waiting`)
  for (const { member, form, pid, outgoingBytes, queuedEvents, pendingCalls, dropped } of busy) {
    const who = `${member ?? 'no member'} (pid ${pid}, ${form})`
    await out.line(
      `  ${who}: ${bytes(outgoingBytes)} to write, ${queuedEvents} events, ${pendingCalls} calls, ${dropped} dropped`,
    )
  }
  const counted = Object.entries(counters).filter(([, count]) => count > 0)
  if (counted.length === 0) return
  await out.line()
  await heading('counted since the term began')
  for (const line of table(['', ''], counted).slice(1)) await out.line(`  ${line}`)
}

function memberRow({ name, pid, role, joined, id, methods }: MemberSnapshot): (string | number)[] {
  const all = methods.join(' ')
  const shown = all.length <= METHODS_WIDTH ? all : `${all.slice(0, METHODS_WIDTH - 1)}…`
  return [printable(name), pid, role, joined.replace(/\.\d+Z$/, 'Z'), id, printable(shown)]
}
