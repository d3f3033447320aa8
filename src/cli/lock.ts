import { isAppName, openWorkspace } from '../election/index.ts'
import { posixPlatform, type Lock } from '../platform/index.ts'
import type { Given } from './args.ts'
import { EXIT, UsageError } from './exit.ts'
import { acquire } from './lock/acquire.ts'
import { runCommand } from './lock/command.ts'
import type { Surroundings, Verb } from './verb.ts'

const CHECK_MS = 1_000

export const lock: Verb = {
  usage: '[--name NAME] [--wait MS | --nonblock] [--json] -- <command> [arguments…]',
  about: `Runs a command in one process of the workspace at a time; the others wait. The kernel holds the lock (flock(2) on
.conclave/lock-NAME/lock), never a file with a pid: it is free as soon as this process has ended, however it ended.
The command does not inherit it, so end the command, or let it end, before you kill this with SIGKILL.
Signals go on to the command. The exit code is the command's, 128+n if signal n ended it; 75 if the lock is busy,
126 or 127 if the command cannot be run. With --json the last line on stdout, behind what the command printed, is
{ acquired, waitedMs, code }.`,
  words: [0, 0],
  takesRest: true,
  options: {
    name: { type: 'string', value: 'NAME', help: 'which lock: a-z, 0-9, ".", "_", "-" (default: default)' },
    wait: { type: 'string', value: 'MS', help: 'give up after so long, with exit 75 (default: never)' },
    nonblock: { type: 'boolean', short: 'n', help: 'give up at once, with exit 75; also --no-wait' },
    'no-wait': { type: 'boolean' },
    dir: { type: 'string', value: 'FOLDER', help: 'the workspace: this very folder (default: .)' },
    app: {
      type: 'string',
      value: 'APP',
      help: "take the seat of that product's primary instead: nobody serves meanwhile",
    },
  },
  examples: ['conclave lock -- npm run migrate', 'conclave lock --name cache --nonblock -- ./refresh.sh || true'],
  run,
}

async function run(given: Given, around: Surroundings): Promise<number> {
  const [command, ...args] = given.rest ?? []
  if (command === undefined || command === '') throw new UsageError('Put the command behind --: conclave lock -- make.')
  const atOnce = given.has('nonblock') || given.has('no-wait')
  if (given.has('wait') && atOnce) throw new UsageError('Use --wait or --nonblock, not both.')
  if (given.has('name') && given.has('app')) throw new UsageError('Use --name or --app, not both.')
  const patienceMs = atOnce ? 0 : (given.number('wait') ?? Infinity)
  const name = given.text('name') ?? 'default'
  const app = given.text('app') ?? `lock-${name}`
  if (name === '' || !isAppName(app))
    throw new UsageError('A lock is named with a-z, 0-9, ".", "_" and "-", at most 59 characters.')

  const { out, err, signal } = around
  const workspace = openWorkspace(posixPlatform(), given.text('dir') ?? '.', { app, create: true })
  const startMs = performance.now()
  const held = await acquire(workspace, patienceMs, signal)
  const waitedMs = Math.round(performance.now() - startMs)
  const report = async (acquired: boolean, code: number): Promise<number> => {
    if (given.has('json')) await out.json({ acquired, waitedMs, code })
    return code
  }
  if (held === undefined) {
    await err.line(`conclave: The lock is busy: ${workspace.lockPath} is held by another process.`)
    return report(false, EXIT.busy)
  }
  const watch = setInterval(() => void warnWhenLost(held, watch, around), CHECK_MS)
  try {
    return await report(true, await runCommand(command, args, around))
  } finally {
    clearInterval(watch)
    held.close()
  }
}

async function warnWhenLost(held: Lock, watch: NodeJS.Timeout, { err }: Surroundings): Promise<void> {
  if (held.stillOurs()) return
  clearInterval(watch)
  await err.line(`conclave: LOCK_LOST: ${held.path} was deleted or replaced: another process may run its command now.`)
}
