/** A primary that says how much memory it holds. Arguments: folder, limits as JSON. Run with --expose-gc. */
import { join } from 'conclave'
import { commands, ready, say } from '../../support/program.ts'

const [folder = '.', limits = '{}'] = process.argv.slice(2)
const member = await join(folder, { name: 'primary', limits: JSON.parse(limits) as Record<string, number> })
ready({ role: member.role })
for await (const _command of commands()) {
  for (let i = 0; i < 3; i++) {
    global.gc?.()
    await new Promise(setImmediate)
  }
  const { heapUsed, external } = process.memoryUsage()
  say({ heldBytes: heapUsed + external })
}
