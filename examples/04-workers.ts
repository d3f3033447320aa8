/** Competing workers with progress: calls go to whoever is free, what they yield comes as it is made, a death is no loss. */
import { defineContract, join } from 'conclave'
import { memoryWorkspace } from 'conclave/testing'
import { z } from 'zod'

const farm = defineContract({
  methods: {
    render: {
      params: z.string(),
      yields: z.object({ percent: z.number() }),
      result: z.string(),
      to: 'any',
      idempotent: true,
    },
  },
})

const place = memoryWorkspace() // a folder, were these processes
const boss = await join(place, { contract: farm })
const workers = await Promise.all(['ann', 'bob'].map((name) => join(place, { name, contract: farm })))
for (const worker of workers) {
  const render = async function* (scene: string) {
    for (const percent of [0, 50, 100]) {
      if (worker.name === 'ann' && percent === 50) place.kill(worker)
      yield { percent }
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    return `${scene}.png by ${worker.name}`
  }
  worker.offer({ render }, { concurrency: 1 })
  await worker.inspect()
}

const jobs = ['sea', 'sky'].map(async (scene) => {
  const job = boss.stream('render', scene)
  for await (const { percent } of job) console.log(scene, percent) // prints: sky 100
  return job.result
})
console.log((await Promise.all(jobs)).join(', ')) // prints: sea.png by bob, sky.png by bob

await place[Symbol.asyncDispose]()
