// Listens for packets at <path> with <mode> under <umask>, and ends.
import { packetTransport } from '../../../src/transport/index.ts'

const [path, mode, umask] = process.argv.slice(2) as [string, string, string]
const transport = packetTransport()
process.umask(Number.parseInt(umask, 8))
const options = { backlog: 1, mode: Number.parseInt(mode, 8), onConnection() {}, onError() {} }
transport.listen(path, options).close()
