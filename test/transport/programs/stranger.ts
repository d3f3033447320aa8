// Another user, without our manners: it does not look who is at the other side. Started by root.
// `stranger.ts <uid> listen|connect|transport <path>`
import { native, NATIVE_EVENT, WATCH, type SocketHandle } from '../../../src/platform/native.ts'
import { unixTransport } from '../../../src/transport/index.ts'

const [uid, verb, path] = process.argv.slice(2) as [string, string, string]
const addon = native()
process.setgid?.(Number(uid))
process.setuid?.(Number(uid))

if (verb === 'listen') {
  const handle = addon.listen(path, 10) as SocketHandle
  addon.start(handle, () => {})
  addon.watch(handle, WATCH.read)
  console.log('listening')
} else if (verb === 'connect') {
  const handle = addon.connect(path) as SocketHandle
  addon.start(handle, (event, value) => {
    if (event === NATIVE_EVENT.read) console.log(`read ${String(value)}`)
    addon.close(handle)
  })
  addon.watch(handle, WATCH.read)
} else {
  try {
    unixTransport().connect(path)
    console.log('connected')
  } catch (error) {
    console.log((error as { code: string }).code)
  }
}
