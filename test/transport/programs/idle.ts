// A listener and a connection that nothing else keeps alive: `idle.ts <socket> ref|unref`
import { unixTransport } from '../../../src/transport/index.ts'

const [path, mode] = process.argv.slice(2) as [string, string]
const handlers = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} }
const listener = unixTransport().listen(path, {
  backlog: 1,
  onError() {},
  onConnection(connection) {
    connection.handlers = handlers
    if (mode === 'unref') connection.unref()
    console.log('ready')
  },
})
const connection = unixTransport().connect(path)
connection.handlers = handlers
if (mode === 'unref') {
  // Only once it is accepted: an unref'd listener waits for nobody.
  setImmediate(() => {
    listener.unref()
    connection.unref()
  })
}
