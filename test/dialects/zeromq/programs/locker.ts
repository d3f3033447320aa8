/** Takes and gives back the lock of a directory, over and over or once: locker.ts <folder> <name> [churn] */
import { acquireLock } from 'conclave/zeromq'
import { commands, ready, say } from '../../../support/program.ts'

const [folder = '', name = '', how] = process.argv.slice(2)
ready({ pid: process.pid })
if (how === 'churn') {
  // Names of changing length, so that the content is overwritten by a shorter and by a longer one.
  for (let round = 0; ; round++) {
    const { isPrimary, lock } = await acquireLock(folder, name.repeat(1 + (round % 5)), 1, 2)
    lock?.close()
    if (round % 50 === 0) say({ round, isPrimary })
    await new Promise((resolve) => setImmediate(resolve))
  }
}
for await (const command of commands()) {
  if (command['do'] === 'acquire') {
    const { isPrimary, info } = await acquireLock(folder, name, 1, 2)
    say({ isPrimary, info })
  }
}
