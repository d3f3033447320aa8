// Accepts while all descriptors are taken: `crowded.ts <socket>`, under a low `ulimit -n`.
import { closeSync, openSync } from 'node:fs'
import { unixTransport } from '../../../src/transport/index.ts'

const path = process.argv[2] as string
const handlers = { onData() {}, onEnd() {}, onDrain() {}, onClose() {} }
const errors: string[] = []
const files: number[] = []
let ticks = 0
const transport = unixTransport()
const listener = transport.listen(path, {
  backlog: 10,
  onError(error) {
    errors.push(String((error as NodeJS.ErrnoException).code))
  },
  onConnection(connection) {
    connection.close()
    listener.close()
    client.close()
    clearInterval(timer)
    console.log(JSON.stringify({ errors: errors.slice(0, 1000), ticks }))
  },
})
try {
  for (;;) files.push(openSync('/dev/null', 'r'))
} catch {
  // Full. One for the client, none for the listener.
  closeSync(files.pop() as number)
}
const client = transport.connect(path)
client.handlers = handlers
// Not before the second error, which shows that accepting goes on after the first.
const timer = setInterval(() => {
  if (++ticks >= 20 && errors.length >= 2) for (const file of files.splice(0)) closeSync(file)
}, 10)
