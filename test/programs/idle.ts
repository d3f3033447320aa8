/** Joined with `ref: false`, it ends when it has nothing to do. Arguments: folder, "idle", "call", "publish", "ref" or "stay". */
import { join } from 'conclave'
import { commands, say } from '../support/program.ts'

const [folder = '.', how] = process.argv.slice(2)
const member = await join(folder, { ref: false, name: how ?? 'idle', limits: { graceMs: 100 } })
void (async () => {
  for await (const status of member.status()) say({ status: status.type })
})()
say({ ready: true, role: member.role, id: member.id })
member.on('x', () => {})
if (how === 'call') say({ result: await member.call('later', 300) })
if (how === 'publish') say({ seq: await member.publish('x', 1) })
if (how === 'stay') for await (const _command of commands());
if (how === 'ref') {
  member.ref()
  setTimeout(() => member.unref(), 200).unref()
  process.on('exit', () => say({ lived: true }))
}
