// A Worker that takes the lock, listens and echoes, and holds some connections: workerData { lock, socket }.
import { parentPort, workerData } from 'node:worker_threads'
import { posixPlatform } from '../../../src/platform/index.ts'
import { unixTransport } from '../../../src/transport/index.ts'

const { lock, socket, leave } = workerData as { lock: string; socket: string; leave: boolean }
const transport = unixTransport()
const held = posixPlatform().tryLock(lock)
transport.listen(socket, {
  backlog: 100,
  onError: (error) => parentPort?.postMessage({ error: error.message }),
  onConnection: (connection) => {
    connection.handlers = {
      onData: (bytes, start, end) => connection.write(bytes, start, end),
      onEnd() {},
      onDrain() {},
      onClose() {},
    }
  },
})
// Connections to itself, one of them full: all must be closed when it ends.
for (let count = 0; count < 20; count++) {
  const connection = transport.connect(socket)
  connection.handlers = { onData: () => connection.pause(), onEnd() {}, onDrain() {}, onClose() {} }
  if (count === 0) connection.write(new Uint8Array(4 << 20), 0, 4 << 20)
}
parentPort?.postMessage({ locked: held !== undefined })
if (leave) parentPort?.once('message', () => process.exit(0))
