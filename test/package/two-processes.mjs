// Copied beside an installed package and started twice there: `node two-processes.mjs <folder> <name>`.
import { createInterface } from 'node:readline'
import { join } from 'conclave'

const [folder, name] = process.argv.slice(2)
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`)

const member = await join(folder, { name, methods: { greet: (who) => `hello ${who}, ${name} answers` } })
say({ ready: true, role: member.role, term: member.term })

for await (const line of createInterface({ input: process.stdin })) {
  const { call, params } = JSON.parse(line)
  const answer = await member.call(call, params)
  say({ answer, role: member.role, term: member.term })
}
await member.close()
