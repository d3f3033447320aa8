// The ZeroMQ dialect beside plain zeromq.js that sends the same frames, in one run, interleaved: node bench/zmq.ts [--json]
// [--quick]. Two processes a side, over ipc. Ratios count, absolute figures do not.
import { fork, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Row } from './support/rows.ts'
import { median } from './support/statistics.ts'
import { plainTable, ROW_HEADS, rowCells } from './support/table.ts'

const quick = process.argv.includes('--quick')
const ROUNDS = quick ? 2 : 9
const EVENTS = quick ? 500 : 40_000
const SLOW_EVENTS = quick ? 20 : 400
const CALLS = quick ? 200 : 20_000
const LATENCY_CALLS = quick ? 100 : 5_000
const IN_FLIGHT = 64

/** What is measured, in which unit, and what counts as reached against plain zeromq.js. */
const METRICS = {
  /** Handed to libzmq by the publisher. */
  'published/s': { unit: '1/s', least: 0.85 },
  /** From the first that is published until the last is at the subscriber. */
  'events/s': { unit: '1/s', least: 0.85 },
  'event p50': { unit: 'us', most: 1.2 },
  'calls/s': { unit: '1/s', least: 0.85 },
  'call p50': { unit: 'us', most: 1.2 },
} as const
type Metric = keyof typeof METRICS
const NAMES = Object.keys(METRICS) as Metric[]
/** As the report calls them. */
const SUBJECTS = { bare: 'zeromq', conclave: 'conclave' } as const
type Subject = keyof typeof SUBJECTS

const folder = mkdtempSync(join(tmpdir(), 'zmq-bench-'))
const children: ChildProcess[] = []
process.once('exit', () => {
  for (const child of children) {
    child.removeAllListeners('exit')
    child.kill('SIGKILL')
  }
  rmSync(folder, { recursive: true, force: true })
})

type Ask = (command: string, ...args: readonly number[]) => Promise<number>

async function side(subject: Subject, role: 'server' | 'client'): Promise<Ask> {
  const child = fork(join(import.meta.dirname, 'zmq', 'side.ts'), [subject, role, folder], {
    execArgv: process.execArgv,
  })
  children.push(child)
  let told: (value: number) => void = () => {}
  child.on('message', ({ value }: { value: number }) => told(value))
  child.once('exit', (code) => {
    process.stderr.write(`${subject} ${role} ended: ${code}\n`)
    process.exit(1)
  })
  const reply = (): Promise<number> => new Promise((resolve) => (told = resolve))
  await reply()
  return (command, ...args) => {
    child.send({ command, args })
    return reply()
  }
}

async function pair(subject: Subject): Promise<() => Promise<Record<Metric, number>>> {
  const server = await side(subject, 'server')
  const client = await side(subject, 'client')
  return async () => {
    await client('expect', EVENTS)
    const begin = performance.now()
    const published = server('publish', EVENTS).then(() => performance.now() - begin)
    await client('counted')
    const ms = performance.now() - begin
    await client('expect', SLOW_EVENTS)
    await server('publishSlowly', SLOW_EVENTS)
    await client('counted')
    return {
      'published/s': EVENTS / ((await published) / 1000),
      'events/s': EVENTS / (ms / 1000),
      'event p50': await client('delays'),
      'calls/s': await client('calls', CALLS, IN_FLIGHT),
      'call p50': await client('latency', LATENCY_CALLS),
    }
  }
}

const sides = { bare: await pair('bare'), conclave: await pair('conclave') }
const rounds: Record<Subject, Record<Metric, number>>[] = []
for (let round = -1; round < ROUNDS; round++) {
  const done =
    round % 2 === 0
      ? { bare: await sides.bare(), conclave: await sides.conclave() }
      : { conclave: await sides.conclave(), bare: await sides.bare() }
  if (round >= 0) rounds.push(done) // the first one warms
}

const rows = NAMES.flatMap((metric) =>
  (['bare', 'conclave'] as const).map((subject): Row => {
    const values = rounds.map((round) => round[subject][metric])
    const over = (other: Subject): number =>
      median(rounds.map((round) => round[subject][metric] / round[other][metric]))
    return {
      case: 'zmq',
      subject: SUBJECTS[subject],
      metric,
      unit: METRICS[metric].unit,
      value: median(values),
      min: Math.min(...values),
      max: Math.max(...values),
      runs: values.length,
      vsFloor: over('bare'),
      vsUs: over('conclave'),
    }
  }),
)
if (process.argv.includes('--json')) console.log(JSON.stringify(rows))
else {
  console.log(plainTable(ROW_HEADS, rows.map(rowCells)))
  for (const { subject, metric, vsFloor } of rows) {
    if (subject !== 'conclave' || vsFloor === null) continue
    const wanted: { readonly least?: number; readonly most?: number } = METRICS[metric as Metric]
    const met = vsFloor >= (wanted.least ?? 0) && vsFloor <= (wanted.most ?? Infinity)
    const words = wanted.least === undefined ? `at most ${wanted.most}x` : `at least ${wanted.least}x`
    console.log(`${metric} over zeromq: ${vsFloor.toFixed(2)}x, wanted ${words}: ${met ? 'met' : 'not met'}`)
  }
}
process.exit(0)
