/** A primary of a directory: primary.ts <folder> */
import { acquireLock, Bus } from 'conclave/zeromq'
import { commands, ready, say } from '../../../support/program.ts'

const [folder = ''] = process.argv.slice(2)
const bus = new Bus({ instanceId: 'first' })
await bus.start()
await acquireLock(folder, 'first', 0, 0, { address: bus.address })
ready({ pid: process.pid })
for await (const command of commands()) say({ did: command['do'] })
