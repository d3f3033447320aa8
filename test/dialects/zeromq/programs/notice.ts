/** A bus that ends as soon as it is told to, without waiting for anything: notice.ts <pub> <rpc> */
import { Bus } from 'conclave/zeromq'
import { commands, ready } from '../../../support/program.ts'

const [pub = '', rpc = ''] = process.argv.slice(2)
const bus = new Bus({ instanceId: 'leaver' })
await bus.start({ pub, rpc })
ready({ pid: process.pid })
for await (const _ of commands()) {
  await bus.shutdown()
  process.exit(0)
}
