/**
 * A ZeroMQ bus: events by prefix, calls by JSON-RPC, and one primary per folder. Any ZeroMQ library can take part.
 * Here all sides live in one process; `acquireLock` makes one of many processes the primary, and tells the others where it is.
 */
import { EventEmitter } from 'node:events'
import {
  acquireLock,
  addressOf,
  bridge,
  Bus,
  Client,
  dbproxy,
  endpointsForPath,
  portsForPath,
  serveWrites,
  watchPrimary,
} from 'conclave/zeromq'

const folder = process.cwd()
console.log(portsForPath('/srv/data')) // prints: { pubPort: 48116, rpcPort: 48117 }

// Who has the lock is primary, and starts the bus. Others get its address.
const first = await acquireLock(folder, 'editor-1', 0, 0, { address: endpointsForPath(folder) })
const second = await acquireLock(folder, 'editor-2', 0, 0)
console.log(first.isPrimary, second.isPrimary, second.info.instanceId) // prints: true false editor-1

const bus = new Bus({ instanceId: 'editor-1', workdir: folder, lock: first.lock })
bus.registerMethod('session.get', (params) => ({ id: params, title: 'Notes' }))
await bus.start()

const client = new Client()
const primary = addressOf(second.info)
console.log(await client.call(primary, 'session.get', 7)) // prints: { id: 7, title: 'Notes' }

// In force when it resolves: what is published from now on comes.
const events = await client.subscribeTo(primary, 'session.')
await bus.publish('session.update', { id: 7 })
console.log((await events.next()).value?.payload) // prints: { id: 7 }

// In-process events go to the bus by themselves.
const emitter = new EventEmitter()
const carried = bridge(emitter, bus, { events: ['session.activated'] })
emitter.emit('session.activated', { id: 8 })
console.log((await events.next()).value?.topic) // prints: session.activated
await carried.close()

// Reads are local, writes go to the primary: each request id once, whatever happens to the answer.
const rows: unknown[] = []
serveWrites(bus, { writes: { add: async (row: unknown) => rows.push(row) } })
const proxy = dbproxy({ client, primary, read: rows })
console.log(await proxy.write('add', { text: 'hello' }), proxy.read.length) // prints: 1 1

// The watcher becomes primary when the first one leaves.
const watcher = watchPrimary({
  client,
  workdir: folder,
  instanceId: 'editor-2',
  onPromoted: ({ info }) => console.log(`${info.instanceId} is primary`), // prints: editor-2 is primary
})
await bus.shutdown()
first.lock?.close()
const promotion = await watcher.promoted
promotion?.lock.close()
await client.close()
