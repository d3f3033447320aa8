/** A member for the command line's tests: offers some methods, publishes what it is told to. */
import { join } from 'conclave'
import { commands, ready, say } from '../../support/program.ts'

const [folder = '.', name = 'editor'] = process.argv.slice(2)
const member = await join(folder, {
  name,
  methods: {
    echo: (value: unknown) => value,
    fail: () => {
      throw new Error('as it was told\nto')
    },
    failWith: (text: string) => {
      throw new Error(text)
    },
    never: () => new Promise<void>(() => {}),
    async *count(to: number) {
      for (let i = 1; i <= to; i++) yield i
    },
  },
})
member.on('seen.>', ({ topic, data }) => say({ topic, data }))
ready({ id: member.id, pid: process.pid, role: member.role })
for await (const command of commands<{ do?: string; topic?: string; count?: number }>()) {
  if (command.do === 'publish') {
    for (let i = 1; i <= (command.count ?? 1); i++) await member.publish(command.topic ?? 'news', { i })
    say({ published: command.count ?? 1 })
  } else if (command.do === 'close') {
    await member.close()
    say({ closed: true })
  }
}
await member.close()
