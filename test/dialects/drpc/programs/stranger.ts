// Becomes user <uid>, connects to <path> and makes a call.
import { ConclaveError } from '../../../../src/errors/index.ts'
import { ClientConnection } from '../../../../src/dialects/drpc/index.ts'
import { loadProtobuf } from '../../../../src/dialects/drpc/protobuf.ts'
import { native } from '../../../../src/platform/native.ts'

const [uid, path = ''] = process.argv.slice(2)
native()
await loadProtobuf()
process.setgid?.(Number(uid))
process.setuid?.(Number(uid))
const client = new ClientConnection(path, { trusts: () => true })
try {
  await client.connect()
  const { status } = await client.sendMsg({ module: 42, method: 1 })
  process.stdout.write(status === 0 ? 'connected\n' : `status ${status}\n`)
} catch (error) {
  const code = ConclaveError.is(error) ? error.code : String(error)
  process.stdout.write(code === 'DISCONNECTED' ? 'closed\n' : `${code}\n`)
}
client.abort()
