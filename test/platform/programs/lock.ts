// Takes the lock, says so, and holds it until it is killed: `lock.ts <path> [uid]`, root becoming that user first.
import { posixPlatform } from '../../../src/platform/index.ts'
import { native } from '../../../src/platform/native.ts'

const [path, uid] = process.argv.slice(2) as [string, string?]
try {
  native()
  if (uid !== undefined) {
    process.setgid?.(Number(uid))
    process.setuid?.(Number(uid))
  }
  const lock = posixPlatform().tryLock(path)
  console.log(lock === undefined ? 'busy' : `taken ${lock.identity} ${lock.stillOurs()}`)
} catch (error) {
  console.log((error as { code: string }).code)
}
setInterval(() => {}, 60_000)
