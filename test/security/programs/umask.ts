/** A member that makes its files under another umask. Arguments: folder, umask in octal. */
import { join } from 'conclave'
import { commands, ready, say } from '../../support/program.ts'

const [folder = '.', umask = '022'] = process.argv.slice(2)
process.umask(Number.parseInt(umask, 8))
const member = await join(folder, { database: { migrations: ['CREATE TABLE note(text)'] } })
await member.db.run('INSERT INTO note VALUES (?)', [String(process.pid)])
ready({ role: member.role })
void (async () => {
  for await (const status of member.status()) if (status.type === 'role') say({ role: status.role })
})()
for await (const _command of commands());
