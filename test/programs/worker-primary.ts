/** A member in a worker thread, or in a cluster worker. Arguments: folder, "thread" or "cluster". Ends it when told so. */
import cluster from 'node:cluster'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import { join } from 'conclave'
import { commands, ready, say } from '../support/program.ts'

const [folder = '.', how] = process.argv.slice(2)
if (!isMainThread) {
  const { folder: place } = workerData as { folder: string }
  const member = await join(place, { name: 'thread', methods: { who: () => 'thread' } })
  const { parentPort } = await import('node:worker_threads')
  parentPort?.postMessage({ role: member.role, term: member.term })
} else if (cluster.isWorker) {
  const member = await join(folder, { name: 'cluster', methods: { who: () => 'cluster' } })
  process.send?.({ role: member.role, term: member.term })
} else {
  let end: () => unknown
  let joined: Promise<unknown>
  if (how === 'thread') {
    const worker = new Worker(new URL(import.meta.url), { workerData: { folder }, argv: process.argv.slice(2) })
    joined = new Promise((resolve) => worker.once('message', resolve))
    end = () => worker.terminate()
  } else {
    const worker = cluster.fork()
    joined = new Promise((resolve) => worker.once('message', resolve))
    end = () => worker.process.kill('SIGKILL')
  }
  ready((await joined) as object)
  for await (const _command of commands()) {
    await end()
    say({ ended: true })
  }
}
