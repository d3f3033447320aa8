// A Worker that listens for packets and echoes them, and holds some connections, one of them full: workerData { path }.
import { parentPort, workerData } from 'node:worker_threads'
import { packetTransport } from '../../../src/transport/index.ts'

const { path } = workerData as { path: string }
const transport = packetTransport()
transport.listen(path, {
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
for (let count = 0; count < 5; count++) {
  const connection = transport.connect(path)
  connection.handlers = { onData: () => connection.pause(), onEnd() {}, onDrain() {}, onClose() {} }
  for (let packets = 0; count === 0 && packets < 40; packets++) connection.write(new Uint8Array(100_000), 0, 100_000)
}
parentPort?.postMessage({ listening: true })
