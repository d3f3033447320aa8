/**
 * The event bus: newline JSON between processes of one user. The first consumer of a key sets up, the last one cleans up.
 * Here bus and consumers live in one process; with `start: { sources: [...] }` a consumer starts the bus as its own.
 */
import { consume, discoverBuses, listenBus, queryStatus, stopBus, subscriptionId } from 'conclave/eventbus'

const socket = `${process.cwd()}/events/mail-app/bus.sock`
const bus = await listenBus({ socket, exclusive: ['mail.admin'] })

const options = {
  socket,
  eventKey: 'mail',
  eventTypes: ['mail.received'],
  params: { mailbox: 'ada' },
  setup: () => console.log('subscribed at the server'), // prints: subscribed at the server
  cleanup: () => console.log('unsubscribed'), // prints: unsubscribed
}
const one = await consume(options)
const two = await consume(options)
console.log(one.first, two.first) // prints: true false
console.log(one.subscriptionId === subscriptionId('mail', { mailbox: 'ada' })) // prints: true

const source = bus.source('imap')
source.status('connected')
source.publish({ eventType: 'mail.received', eventId: '1', payload: { subject: 'hello' } })
console.log(source.publish({ eventType: 'mail.received', eventId: '1', payload: {} }).duplicate) // prints: true

// One that is slow loses its oldest events, and sees how many: a queue of 100, and what the kernel holds.
console.log((await one.next())?.payload, (await two.next())?.missed) // prints: { subject: 'hello' } 0

const { activeConns, consumers } = await queryStatus(socket)
console.log(activeConns, consumers[0]?.received) // prints: 2 1
console.log(discoverBuses(`${process.cwd()}/events`)[0]?.app) // prints: mail-app

await one.close()
console.log((await two.close()).cleanup) // prints: ran
await stopBus(socket)
console.log((await bus.closed).type) // prints: shutdown
