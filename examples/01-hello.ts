/**
 * Members of one folder: the first that joins is primary. When it closes, another takes over, and calls go on.
 * Here both live in one process; they would not notice if they were two.
 */
import { join, type Context } from 'conclave'

const methods = { greet: (name: string, { member }: Context) => `hello ${name}, this is ${member.name}` }

const first = await join('.', { name: 'first', methods })
const second = await join('.', { name: 'second', methods })
console.log(first.role, 'and', second.role) // prints: primary and secondary

console.log(await second.call('greet', 'Ada')) // prints: hello Ada, this is first

await first.close() // hands over
console.log(await second.call('greet', 'Ada')) // prints: hello Ada, this is second

await second.close()
