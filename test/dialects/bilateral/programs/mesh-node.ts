import { Bilateral } from 'conclave/bilateral'
import { commands, ready, say } from '../../../support/program.ts'

interface Config {
  readonly publicKey: string
  readonly secretKey: string
  readonly listen: string
  readonly connect: readonly { readonly name: string; readonly address: string }[]
}

const { publicKey, secretKey, listen, connect } = JSON.parse(process.argv[2] ?? '') as Config
const node = await Bilateral.encrypted('mesh', publicKey, secretKey, { codec: 'json' })
node.register({ 'Mesh.pid': () => process.pid })
await node.listenOn(listen)
for (const { name, address } of connect) node.connectTo(name, address)
ready()
for await (const { wait, call } of commands<{ wait?: number; call?: number }>()) {
  if (wait !== undefined) {
    await node.connected(wait)
    say({ connected: wait })
  }
  if (call !== undefined) {
    const replies = await node.call([], 'Mesh.pid', {}, call)
    say({
      pids: replies.map(({ reply }) => reply),
      missing: replies.missing.map(({ name, err }) => ({ name, code: err.code })),
    })
  }
}
await node.close()
