/* oxlint-disable no-console, typescript/no-floating-promises, typescript/no-misused-promises -- written as a user would */
// what a beginner writes first: two terminals, then Ctrl-C in one
import { join } from '../face.ts'
const member = await join('.', { methods: { greet: (name: string) => `hello ${name}, ${process.pid} answers` } })
member.on('joined', (e) => console.log('here is', e.data))
member.publish('joined', process.pid)
setInterval(async () => console.log(member.role, await member.call('greet', 'Ada')), 1000)
