/** Events: patterns, replay, and losses that are told. Who reads too slowly loses the oldest, and knows how many. */
import { join } from 'conclave'

const publisher = await join('.', { name: 'publisher' })
const reader = await join('.', { name: 'reader' })

const slow = reader.subscribe('sensor.*.temperature', { maxQueued: 3 })
await slow.ready
for (let i = 0; i < 10; i++) await publisher.publish(`sensor.${i % 2}.temperature`, 20 + i)
await reader.inspect() // a round trip: everything has arrived

const first = (await slow.next()).value
console.log(first?.data, 'after', first?.missed, 'that were lost') // prints: 27 after 7 that were lost
console.log((await slow.next()).value?.missed) // prints: 0
await slow.close()

// The switchboard remembers: a late subscriber can begin earlier.
const late = reader.subscribe('sensor.>', { from: { last: 2 } })
for await (const { topic, data, publisher: from } of late) {
  console.log(topic, data, 'of', from.name) // prints: sensor.1.temperature 29 of publisher
  if (data === 29) break
}

await publisher.close()
await reader.close()
