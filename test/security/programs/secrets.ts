/**
 * A member whose contract has secrets. It logs all there is to log, and prints each error it gets. Argument: folder. One
 * command a line: `{ do, secret }`.
 */
import { inspect } from 'node:util'
import { defineContract, join } from 'conclave'
import { z } from 'zod'
import { commands, ready, say } from '../../support/program.ts'

const word = z.string().refine((text) => !text.startsWith('bad'), { error: ({ input }) => `${String(input)} is bad` })
const contract = defineContract({
  methods: { login: { params: word, result: word, sensitive: true } },
  events: { token: { data: word, sensitive: true } },
  writes: { keep: { params: word, result: word, sensitive: true } },
})

const [folder = '.'] = process.argv.slice(2)
const print = (value: unknown, about = ''): void => {
  process.stderr.write(`${about} ${inspect(value, { depth: 9 })}\n`)
}
const member = await join(folder, {
  contract,
  methods: { login: (password) => (password.startsWith('answer') ? `bad ${password}` : password) },
  database: {
    migrations: ['create table kept(text)'],
    writes: {
      keep: (tx, text) => {
        tx.prepare('insert into kept values (?)').run(text)
        return text.startsWith('answer') ? `bad ${text}` : text
      },
    },
  },
  logger: { debug: print, info: print, warn: print, error: print },
})

async function failed(tried: Promise<unknown>): Promise<void> {
  await tried.then(() => Promise.reject(new Error('it should have been refused')), print)
}

ready({ role: member.role })
void (async () => {
  for await (const status of member.status()) {
    print(status)
    if (status.type === 'role') say({ role: status.role })
  }
})()
for await (const { secret } of commands<{ secret: string }>()) {
  await member.publish('token', secret)
  await member.with().publish('untyped', { secret }, { sensitive: true })
  await failed(member.publish('token', `bad ${secret}`))
  await failed(member.call('login', `bad ${secret}`))
  await failed(member.call('login', `answer ${secret}`))
  await failed(member.db.writes.keep(`bad ${secret}`))
  await failed(member.db.writes.keep(`answer ${secret}`))
  const same = [await member.call('login', secret), await member.db.writes.keep(secret)].every((got) => got === secret)
  print(await member.inspect())
  say({ done: true, same })
}
