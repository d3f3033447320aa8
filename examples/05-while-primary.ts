/** What only one process may do: it begins before the primary serves, and has ended before the next one begins. */
import { join, type Member } from 'conclave'

async function start(name: string): Promise<Member> {
  const member = await join('.', {
    name,
    whilePrimary({ term, signal, member: self }) {
      console.log(name, 'watches in term', term)
      self.offer({ 'watch.count': () => `${name} counts` }, { signal }) // withdrawn with the term
      const timer = setInterval(() => {}, 1000)
      return () => {
        clearInterval(timer)
        console.log(name, 'stopped')
      }
    },
  })
  return member as Member
}

const first = await start('first') // prints: first watches in term 1
const second = await start('second')
console.log(await second.call('watch.count')) // prints: first counts

await first.close() // prints: first stopped
console.log(await second.call('watch.count')) // prints: second counts
await second.close() // prints: second stopped
