/** A consumer of v1: asks, closes, and cleans up only then, until it is let go. */
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { commands, ready, say } from '../../../support/program.ts'

const socket = connect(process.argv[2] as string)
const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
const read = async (): Promise<Record<string, unknown>> =>
  JSON.parse((await lines.next()).value as string) as Record<string, unknown>
const send = (message: object): void => void socket.write(`${JSON.stringify(message)}\n`)

send({ type: 'hello', pid: process.pid, event_key: 'k', event_types: ['a'], version: 'v1', subscription_id: 'k' })
ready({ first: (await read())['first_for_key'] })
for await (const _ of commands()) {
  send({ type: 'pre_shutdown_check', event_key: 'k', subscription_id: 'k' })
  say({ last: (await read())['last_for_key'] })
  socket.destroy()
  setTimeout(() => say({ cleaning: true }), 100)
}
say({ cleaned: true })
