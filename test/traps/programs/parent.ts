/** A primary with a child that outlives it. Arguments: folder; spawn, fork or detached. */
import { fork, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { join } from 'conclave'
import { commands, ready } from '../../support/program.ts'

const [folder = '.', how] = process.argv.slice(2)
const member = await join(folder)
const child =
  how === 'fork'
    ? fork(fileURLToPath(new URL('sleeper.ts', import.meta.url)), { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] })
    : spawn('sleep', ['600'], { stdio: 'ignore', detached: how === 'detached' })
ready({ role: member.role, child: child.pid })
for await (const _command of commands());
