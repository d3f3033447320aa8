// Starts a server at <path>, at once or when told so (`wait`), and says how that went.
import { ConclaveError, type Code } from '../../../../src/errors/index.ts'
import { defineModule, DomainSocketServer } from '../../../../src/dialects/drpc/index.ts'
import { loadProtobuf } from '../../../../src/dialects/drpc/protobuf.ts'
import { commands, ready, say } from '../../../support/program.ts'

const [path = '', wait] = process.argv.slice(2)
const server = new DomainSocketServer({ path })
server.registerModule(defineModule({ id: 1, handleCall: () => Buffer.from(String(process.pid)) }))

async function begin(): Promise<'serving' | Code | 'INTERNAL'> {
  try {
    await server.start()
    return 'serving'
  } catch (error) {
    return ConclaveError.is(error) ? error.code : 'INTERNAL'
  }
}

if (wait === undefined) {
  await begin()
  ready()
} else {
  await loadProtobuf()
  say({ loaded: true })
  for await (const command of commands()) {
    if (command['go'] === true) say({ outcome: await begin(), pid: process.pid })
  }
  await server.shutdown()
}
