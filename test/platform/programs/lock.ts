// Takes the lock, says so, and holds it until it is killed: `lock.ts <path>`.
import { posixPlatform } from '../../../src/platform/index.ts'

try {
  const lock = posixPlatform().tryLock(process.argv[2] as string)
  console.log(lock === undefined ? 'busy' : `taken ${lock.identity} ${lock.stillOurs()}`)
} catch (error) {
  console.log((error as { code: string }).code)
}
setInterval(() => {}, 60_000)
