/** Pipes: typed newline JSON from one process to the next, over a receiver's restart; and a swarm that shares facts. */
import {
  bufferedSender,
  dialWithRetry,
  eventMessage,
  incidentMessage,
  listen,
  MemoryFactStore,
  message,
  openSwarm,
} from 'conclave/pipe'
import { z } from 'zod'

const directory = `${process.cwd()}/pipes`
const schemas = { alert: z.object({ level: z.number(), note: z.string().default('none') }) }

// A listener has a receiver for each sender.
const listener = await listen('alerts', { directory, schemas })
const sender = await dialWithRetry('alerts', { directory, schemas, attempts: 3 })
await sender.send(message('alert', { level: 3 }))
await sender.sendWithRetry(incidentMessage({ id: 7 }))
const receiver = await listener.accept()
console.log((await receiver?.next())?.payload) // prints: { level: 3, note: 'none' }
console.log((await receiver?.next())?.type) // prints: soc_incident
await sender.flush() // all is acknowledged
await sender.close()
await listener.close()

// Nobody listens: what is sent waits, in order, for the next one.
const buffered = bufferedSender('alerts', { directory })
for (let n = 1; n <= 3; n++) await buffered.send(eventMessage(n))
console.log('pending:', buffered.pending) // prints: pending: 3
const next = await listen('alerts', { directory })
const got: unknown[] = []
for await (const { payload } of next.messages()) {
  got.push(payload)
  if (got.length === 3) break
}
const { delivered, undelivered } = await buffered.close()
console.log(got, delivered, undelivered) // prints: [ 1, 2, 3 ] 3 0
await next.close()

// The first one in a folder listens, the others dial.
const fact = (id: string) => ({
  id,
  content: `what ${id} saw`,
  level: 0,
  isGene: false,
  source: 'manual',
  createdAt: '',
})
const ada = await openSwarm({ directory, node: 'ada', store: new MemoryFactStore([fact('a')]) })
const store = new MemoryFactStore([fact('b')])
const bob = await openSwarm({ directory, node: 'bob', store })
console.log(
  bob.lastSync?.peer?.node,
  store.facts().map(({ source }) => source),
) // prints: ada [ 'manual', 'swarm:manual' ]
await bob.close()
await ada.close()
