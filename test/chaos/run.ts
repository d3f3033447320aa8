/**
 * `npm run chaos -- <name> [--rounds N] [--seed S] [--round K] [--processes N] [--minutes M] [--json] [--plan]`:
 * real processes, faults from a seeded plan, a checker that knows nothing of the product. docs/testing.md tells how to
 * read it. Exit code 1: a promise was broken; 2: the command was not understood.
 */
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { NAMES, type Name } from './names.ts'
import type { Chaos } from './support/chaos.ts'
import { planOf, runChaos } from './support/run.ts'

const number = { type: 'string' } as const

function usage(text: string): never {
  process.stderr.write(`${text}\nnpm run chaos -- ${Object.keys(NAMES).join('|')} --rounds N --seed S [--round K]`)
  process.stderr.write(` [--processes N] [--minutes M] [--keep directory] [--plan] [--json]\n`)
  process.exit(2)
}

function parse(): ReturnType<typeof read> {
  try {
    return read()
  } catch (error) {
    return usage((error as Error).message)
  }
}

function read() {
  return parseArgs({
    allowPositionals: true,
    options: {
      rounds: number,
      seed: number,
      round: number,
      processes: number,
      minutes: number,
      keep: { type: 'string' },
      plan: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
    },
  })
}

function whole(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const value = Number(text)
  return Number.isSafeInteger(value) && value >= 0 ? value : usage(`--${name} must be a whole number, not ${text}`)
}

const { values, positionals } = parse()
const [name, ...rest] = positionals
if (name === undefined || !Object.hasOwn(NAMES, name) || rest.length > 0) usage(`What shall go wrong?`)
const chaos = NAMES[name as Name] as Chaos
const minutes = whole('minutes', values.minutes)
const options = {
  seed: whole('seed', values.seed) ?? Math.floor(Math.random() * 1e9),
  rounds: whole('rounds', values.rounds) ?? (minutes === undefined || name === 'soak' ? chaos.rounds : Infinity),
  only: whole('round', values.round),
  processes: whole('processes', values.processes),
  minutes,
  limitMs: minutes === undefined || name === 'soak' ? undefined : minutes * 60_000,
}
if (values.plan) printPlans()
else await run()

function printPlans(): void {
  const { rounds, only, seed } = options
  const numbers = only === undefined ? Array.from({ length: rounds }, (_, i) => i + 1) : [only]
  for (const round of numbers) {
    const plan = planOf(chaos, seed, round, options)
    process.stdout.write(`${JSON.stringify({ name, seed, round, plan })}\n`)
  }
}

async function run(): Promise<void> {
  const keepIn = values.keep ?? join(tmpdir(), 'conclave-chaos')
  process.stderr.write(`${name}: seed ${options.seed}\n`)
  // The round that is under way ends in order.
  const interrupted = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort())
  const report = await runChaos(chaos, {
    ...options,
    keepIn,
    signal: interrupted.signal,
    onProgress: (text) => process.stderr.write(`${text}\n`),
  })
  const { seed, rounds, ok, faults, failed, summary } = report
  if (values.json) {
    process.stdout.write(`${JSON.stringify({ name, seed, rounds, ...summary, faults, failed, ok })}\n`)
  } else {
    const figures = Object.entries(summary).map(([key, value]) => `${key} ${String(value)}`)
    process.stdout.write(`${name}, seed ${seed}: ${rounds} rounds, ${failed.length} failed; ${figures.join(', ')}\n`)
  }
  process.exitCode = ok ? 0 : 1
}
