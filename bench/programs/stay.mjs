// A client of one peer that is connected and does nothing, until it is killed: stay.mjs <peer> <folder> [url]
// Node's own modules are taken without importing them, which would cost the bare Node some MiB.
const { writeSync } = process.getBuiltinModule('node:fs')
const [peer, folder, url] = process.argv.slice(2)
const socket = `${folder}/rpc.sock`

const connected = {
  'bare Node': () => {},
  async conclave() {
    const { join } = await import('conclave')
    return join(folder, { primary: 'never', waitMs: 10_000 })
  },
  async 'conclave, primary'() {
    const { join } = await import('conclave')
    return join(folder, { primary: 'must' })
  },
  async zeromq() {
    const { Dealer } = await import('zeromq')
    const dealer = new Dealer()
    dealer.connect(`ipc://${folder}/rpc`)
    return dealer
  },
  async 'vscode-jsonrpc'() {
    const { connect } = await import('node:net')
    const { createMessageConnection, SocketMessageReader, SocketMessageWriter } = await import('vscode-jsonrpc/node')
    const stream = connect(socket)
    await new Promise((resolve) => stream.once('connect', resolve))
    const connection = createMessageConnection(new SocketMessageReader(stream), new SocketMessageWriter(stream))
    connection.listen()
    return connection
  },
  async 'grpc-js'() {
    const { Client, credentials } = await import('@grpc/grpc-js')
    const client = new Client(`unix:${socket}`, credentials.createInsecure())
    await new Promise((resolve, reject) => {
      client.waitForReady(Date.now() + 10_000, (error) => (error ? reject(error) : resolve()))
    })
    return client
  },
  async nats() {
    const { connect } = await import('@nats-io/transport-node')
    return connect({ servers: url })
  },
  async ws() {
    const { WebSocket } = await import('ws')
    const client = new WebSocket(`ws+unix:${socket}:/`, { perMessageDeflate: false })
    await new Promise((resolve) => client.once('open', resolve))
    return client
  },
}[peer]

const held = await connected()
setInterval(() => held, 2 ** 30)
writeSync(1, '.')
