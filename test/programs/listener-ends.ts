/** A subscription with a listener comes to its end. Arguments: folder, "abort", "close" or "overflow". Prints plain text. */
import { ConclaveError, join } from 'conclave'

const [folder = '.', how] = process.argv.slice(2)
const member = await join(folder)
let thrown = (): void => {}
const uncaught = new Promise<void>((resolve) => (thrown = resolve))
process.on('uncaughtException', (error) => {
  process.stdout.write(`uncaught ${ConclaveError.is(error) ? error.code : error.message} `)
  thrown()
})
let goOn = (): void => {}
const published = new Promise<void>((resolve) => (goOn = resolve))
const subscription = member.on('x', () => published, { maxQueued: 1, overflow: 'disconnect' })
await subscription.ready
if (how === 'overflow') {
  for (let i = 0; i < 4; i++) await member.publish('x', i)
  goOn()
  await uncaught
}
if (how === 'abort') member.abort('enough')
await member.close()
await new Promise((resolve) => setTimeout(resolve, 20))
process.stdout.write('done\n')
