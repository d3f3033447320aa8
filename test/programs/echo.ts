/** For the tests of the harness: says what it gets; `{ "do": … }` makes it misbehave. */
import { commands, ready, say } from '../support/program.ts'

ready({ args: process.argv.slice(2), runtime: process.env['XDG_RUNTIME_DIR'] })
for await (const command of commands<{ do?: string }>()) {
  if (command.do === 'warn') process.emitWarning('too many', 'MaxListenersExceededWarning')
  else if (command.do === 'garble') process.stdout.write('not json\n')
  else if (command.do === 'crash') throw new Error('crashed as told')
  else say({ echo: command })
}
