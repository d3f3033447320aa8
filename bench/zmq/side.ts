// One process of bench/zmq.ts: `side.ts <bare|conclave> <server|client> <folder>`, driven by its parent's messages.
import { bare } from './bare.ts'
import { ours } from './ours.ts'
import type { Client, Server } from './subject.ts'

const [subject = '', role = '', folder = ''] = process.argv.slice(2)
const send = process.send?.bind(process)
if (send === undefined) throw new Error('bench/zmq/side.ts is started by bench/zmq.ts')
process.once('disconnect', () => process.exit())

const { serve, connect } = subject === 'bare' ? bare : ours
const side: Server | Client = await (role === 'server' ? serve(folder) : connect(folder))
const commands = side as unknown as Readonly<Record<string, (...args: readonly number[]) => Promise<unknown>>>
process.on('message', ({ command, args }: { command: string; args: readonly number[] }) => {
  void (async () => send({ value: await commands[command]?.(...args) }))()
})
send({ value: 'ready' })
