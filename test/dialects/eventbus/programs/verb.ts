/** Runs one verb as src/cli/main.ts does: `verb.ts eventbus serve --socket S`. */
import { readArguments } from '../../../../src/cli/args.ts'
import { COMMON } from '../../../../src/cli/common.ts'
import { exitCodeOf, Interrupted, sentenceOf } from '../../../../src/cli/exit.ts'
import { Output } from '../../../../src/cli/output.ts'
import { Signals } from '../../../../src/cli/signals.ts'
import type { Verb } from '../../../../src/cli/verb.ts'
import { eventbus } from '../../../../src/cli/eventbus.ts'
import { pipe } from '../../../../src/cli/pipe.ts'

const [name, ...args] = process.argv.slice(2)
const verb: Verb = name === 'pipe' ? pipe : eventbus
const stop = new AbortController()
const signals = new Signals((signal) => stop.abort(new Interrupted(signal)))
const out = new Output(process.stdout, () => stop.abort(new Interrupted(undefined)))
const err = new Output(process.stderr, () => {})
let code: number
try {
  const given = readArguments(args, { ...verb.options, ...COMMON })
  code = await verb.run(given, {
    out,
    err,
    signal: stop.signal,
    takeSignals: (names, take) => signals.give(names, take),
    untilSignal: (work) => signals.leaveToKernel(work),
  })
} catch (error) {
  code = exitCodeOf(error)
  if (!(error instanceof Interrupted)) await err.line(`conclave: ${sentenceOf(error)}`)
}
await Promise.all([out.flush(), err.flush()])
process.exit(code)
