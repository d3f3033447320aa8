import { existsSync } from 'node:fs'
import { realpath, stat, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { packageRoot } from '../platform/package.ts'
import type { Given } from './args.ts'
import { Conductor } from './demo/conductor.ts'
import { Live } from './demo/live.ts'
import { frameOf, type Line } from './demo/picture.ts'
import { summaryOf } from './demo/summary.ts'
import { EXIT, UsageError } from './exit.ts'
import { printable } from './output.ts'
import type { Surroundings, Verb } from './verb.ts'

/** Two primaries and a worker are killed, and somebody must be left. */
const LEAST_WORKERS = 3
const MOST_WORKERS = 64
const WORKERS = 5

export const demo: Verb = {
  usage: '[folder] [--workers N] [--quiet] [--json]',
  about: `Starts real processes that index a folder together: the primary walks it, hands the files out by calls and
keeps the index in SQLite; workers hash the contents and publish an event for each file. Meanwhile the primary is
killed with SIGKILL twice and a worker once, and a process joins late. At the end the index is compared with an
independent walk: exit 0 when nothing was lost or duplicated.

The folder (default: node_modules here or of this checkout, else .) is only read; databases and .conclave in it are
left out. The processes meet in a temporary folder of their own, which is removed.

Published and missed events are counted by numbers that each worker gives its own events, not by the bus. A failover
lasts from the SIGKILL to the first call of a surviving process that the new primary answered.`,
  words: [0, 1],
  options: {
    dir: { type: 'string', value: 'FOLDER', help: 'the same as the folder' },
    workers: {
      type: 'string',
      value: 'N',
      help: `processes to start, ${LEAST_WORKERS} to ${MOST_WORKERS} (default: ${WORKERS})`,
    },
    pace: { type: 'string', value: 'MS', help: 'each file takes at least so long: to watch a small folder' },
    quiet: { type: 'boolean', short: 'q', help: 'only the last lines' },
    frame: { type: 'string', value: 'FILE' },
    app: { type: 'string' },
  },
  examples: ['conclave demo', 'conclave demo ~/projects --json | jq .failovers', 'conclave demo docs --pace 50'],
  run,
}

async function run(given: Given, around: Surroundings): Promise<number> {
  const { out, signal } = around
  const workers = given.number('workers', { min: LEAST_WORKERS, max: MOST_WORKERS }) ?? WORKERS
  const paceMs = given.number('pace', { max: 60_000 }) ?? 0
  const json = given.has('json')
  const quiet = given.has('quiet') || json
  const tree = await folderOf(given.words[0] ?? given.text('dir'))
  const live = !quiet && out.terminal ? new Live(out) : undefined
  const startMs = performance.now()
  const say = (line: string): void => {
    if (quiet || live !== undefined) return
    void out.line(`${((performance.now() - startMs) / 1000).toFixed(2).padStart(6)} s  ${printable(line)}`)
  }
  const conductor = new Conductor({ tree, workers, paceMs, signal, say })
  live?.start(() => frameOf(conductor.state()))
  let frame: readonly Line[] = []
  try {
    // The last picture is of the moment before everybody is sent home.
    const report = await conductor.run(() => {
      frame = frameOf(conductor.state())
      live?.stop()
    })
    if (json) await out.json(report)
    else for (const line of summaryOf(report)) await out.line(printable(line))
    const file = given.text('frame')
    if (file !== undefined) await writeFile(file, JSON.stringify(frame))
    return report.ok ? EXIT.ok : EXIT.error
  } finally {
    live?.stop()
  }
}

async function folderOf(given: string | undefined): Promise<string> {
  const folder = given ?? defaultFolder()
  try {
    const path = await realpath(resolve(folder))
    if ((await stat(path)).isDirectory()) return path
  } catch {
    throw new UsageError(`There is no folder ${folder}.`)
  }
  throw new UsageError(`${folder} is not a folder.`)
}

function defaultFolder(): string {
  return ['node_modules', join(packageRoot(), 'node_modules')].find((folder) => existsSync(folder)) ?? '.'
}
