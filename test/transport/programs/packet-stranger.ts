// Becomes user <uid>, connects to <path> and waits for its end.
import { packetTransport } from '../../../src/transport/index.ts'

const [uid, path] = process.argv.slice(2) as [string, string]
const transport = packetTransport()
process.setgid?.(Number(uid))
process.setuid?.(Number(uid))
const connection = transport.connect(path, { admits: () => true })
connection.handlers = { onData() {}, onEnd: () => connection.close(), onDrain() {}, onClose() {} }
