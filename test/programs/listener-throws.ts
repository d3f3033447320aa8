/** Its listener throws for each event. Arguments: folder; "catch" to live on. Prints plain lines. */
import { join } from 'conclave'

const [folder = '.', how] = process.argv.slice(2)
const member = await join(folder)
if (how === 'catch') {
  process.on('uncaughtException', ({ message }) => {
    console.log(message.replace('thrown for', 'uncaught'))
    if (message === 'thrown for 2') void member.close().then(() => console.log('closed'))
  })
}
member.on('x', ({ data }) => {
  console.log(`heard ${data as number}`)
  throw new Error(`thrown for ${data as number}`)
})
await member.publish('x', 1)
await member.publish('x', 2)
