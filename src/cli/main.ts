import { EventEmitter } from 'node:events'
import { readArguments, type Given } from './args.ts'
import { COMMON } from './common.ts'
import { exitCodeOf, Interrupted, sentenceOf, UsageError } from './exit.ts'
import { mainHelp, verbHelp } from './help.ts'
import { nearest } from './nearest.ts'
import { Output, printable } from './output.ts'
import { Signals } from './signals.ts'
import type { Verb } from './verb.ts'
import { VERBS } from './verbs.ts'
import { ownVersion } from './version.ts'

/** Milliseconds a verb has to clean up once nobody waits for its output. */
const LINGER_MS = 10_000

EventEmitter.defaultMaxListeners = 50
const stop = new AbortController()
const signals = new Signals((signal) => stop.abort(new Interrupted(signal)))
const broken = (error: NodeJS.ErrnoException): void => {
  if (error.code !== 'EPIPE') {
    process.exitCode = 1
    void err.line(
      `${err.style('red', 'conclave')}: What was printed could not be written: ${printable(error.message)}.`,
    )
  }
  stop.abort(new Interrupted(undefined))
  setTimeout(() => process.exit(), LINGER_MS).unref()
}
const out = new Output(process.stdout, broken)
const err = new Output(process.stderr, () => {})

void main(process.argv.slice(2)).then(finish)

async function main(args: readonly string[]): Promise<number> {
  try {
    return await dispatch(args)
  } catch (error) {
    const code = exitCodeOf(error)
    if (error instanceof Interrupted) return code
    await err.line(`${err.style('red', 'conclave')}: ${printable(sentenceOf(error))}`)
    if (error instanceof UsageError && process.env['CONCLAVE_DEBUG'] === undefined) return code
    if (process.env['CONCLAVE_DEBUG'] !== undefined && error instanceof Error) await err.line(error.stack)
    return code
  }
}

async function dispatch([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined || name === '--help' || name === '-h' || (name === 'help' && args.length === 0)) {
    await (name === undefined ? err : out).write(mainHelp())
    return name === undefined ? 2 : 0
  }
  if (name === '--version') return version()
  if (name === 'help') return dispatch([args[0] ?? '', '--help'])
  const entry = VERBS.get(name)
  if (entry === undefined) {
    if (name.startsWith('-')) throw new UsageError(`The verb comes first: conclave <verb> ${name}.`)
    const near = nearest(name, [...VERBS.keys()])
    const hint = near === undefined ? 'conclave --help lists the verbs.' : `Did you mean ${near}?`
    throw new UsageError(`There is no verb "${name}". ${hint}`)
  }
  const verb = await entry.load()
  const given = readArguments(args, { ...verb.options, ...COMMON }, verb.takesRest ?? false)
  if (given.has('version')) return version()
  if (given.has('help')) {
    await out.write(verbHelp(name, verb))
    return 0
  }
  checkWords(name, verb, given)
  return verb.run(given, {
    out,
    err,
    signal: stop.signal,
    takeSignals: (names, take) => signals.give(names, take),
    untilSignal: (work) => signals.leaveToKernel(work),
  })
}

function checkWords(name: string, { words: [least, most], usage }: Verb, { words }: Given): void {
  const problem =
    words.length < least ? 'Something is missing' : words.length > most ? `"${words[most]}" is too much` : undefined
  if (problem !== undefined) throw new UsageError(`${problem}: conclave ${name} ${usage}`)
}

async function version(): Promise<number> {
  await out.line(await ownVersion())
  return 0
}

/** Leaves by itself when nothing is left to do; what lingers (an open standard input) does not hold us. */
async function finish(code: number): Promise<void> {
  process.exitCode = process.exitCode || code
  await Promise.all([out.flush(), err.flush()])
  process.exit()
}
