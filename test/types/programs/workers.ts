// (5) Competing workers, progress, retries, Ctrl-C.
import { availableParallelism } from 'node:os'
import { ConclaveError, defineContract, join } from '../face.ts'
import { z } from 'zod'
const jobs = defineContract({
  methods: {
    render: {
      params: z.object({ scene: z.string() }),
      yields: z.object({ percent: z.number() }),
      result: z.object({ file: z.string() }),
      to: 'any',
      idempotent: true,
    },
  },
})
declare function renderFrame(scene: string, i: number, signal: AbortSignal): Promise<void>
async function worker() {
  const me = await join('.', { app: 'farm', contract: jobs })
  me.offer(
    {
      async *render({ scene }, { signal, attempt }) {
        for (let i = attempt === 1 ? 0 : 50; i < 100; i++) {
          await renderFrame(scene, i, signal)
          yield { percent: i }
        }
        return { file: `${scene}.png` }
      },
    },
    { concurrency: availableParallelism() },
  )
}
async function submit(scene: string) {
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  await using me = await join('.', { app: 'farm', contract: jobs, primary: 'never', waitMs: 2000 })
  try {
    const job = me.stream('render', { scene }, { signal: stop.signal })
    for await (const { percent } of job) process.stdout.write(`\r${percent}%`)
    return (await job.result).file
  } catch (e) {
    if (ConclaveError.is(e, 'ABORTED')) return undefined
    throw e
  }
}

void worker
void submit
