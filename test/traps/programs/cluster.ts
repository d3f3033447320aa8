/** A cluster whose primary process and workers all join. Argument: folder. `{ worker, kill }` ends one of them. */
import cluster, { type Worker } from 'node:cluster'
import { join } from 'conclave'
import { commands, ready, say } from '../../support/program.ts'

const [folder = '.'] = process.argv.slice(2)
const who = `${cluster.isPrimary ? 'parent' : 'worker'} ${process.pid}`

async function joined(primary: 'may' | 'never'): Promise<object> {
  const member = await join(folder, { name: who, primary, methods: { who: () => process.pid } })
  return { pid: process.pid, role: member.role, id: member.id }
}

if (cluster.isPrimary) {
  const fork = async (): Promise<[Worker, object]> => {
    const worker = cluster.fork()
    return [worker, await new Promise<object>((resolve) => worker.once('message', resolve))]
  }
  // The first worker serves; the parent only looks on, so that nothing of the seat can be its by right.
  const [first, one] = await fork()
  const [, two] = await fork()
  const parent = await joined('never')
  ready({ workers: [one, two], parent })
  for await (const _command of commands()) {
    first.process.kill('SIGKILL')
    say({ ended: true })
  }
  process.exit(0)
} else process.send?.(await joined('may'))
