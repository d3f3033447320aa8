import type { OptionSpecs } from './args.ts'
import { COMMON } from './common.ts'
import type { Verb } from './verb.ts'
import { VERBS } from './verbs.ts'

const CODES = `Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nobody is primary, 4 no such method or member, 75 the lock
is busy, 124 out of time, 128+n ended by signal n. Errors are one sentence on stderr, with their code.`

export function mainHelp(): string {
  const verbs = [...VERBS].map(([name, { summary }]) => `  ${name.padEnd(9)} ${summary}`)
  return `conclave: processes that open the same folder become one system.

Usage: conclave <verb> [options]      conclave <verb> --help      conclave --version

${verbs.join('\n')}

Every verb takes --json, --help, --dir FOLDER (default: the folder itself or the nearest workspace above it; demo and
lock: the folder itself) and --app APP. No verb ever becomes primary.

${CODES}
`
}

export function verbHelp(name: string, verb: Verb): string {
  const parts = [`Usage: conclave ${name} ${verb.usage}`, verb.about, optionsHelp({ ...verb.options, ...COMMON })]
  if (verb.examples !== undefined) parts.push(verb.examples.map((example) => `  ${example}`).join('\n'))
  return `${parts.join('\n\n')}\n`
}

function optionsHelp(specs: OptionSpecs): string {
  const rows = Object.entries(specs)
    .filter(([, { help }]) => help !== undefined)
    .map(([name, { short, value, help }]) => {
      const short_ = short === undefined ? '' : `-${short}, `
      return [`  ${short_}--${name}${value === undefined ? '' : ` ${value}`}`, help!] as const
    })
  const width = Math.max(...rows.map(([left]) => left.length)) + 2
  return rows.map(([left, right]) => left.padEnd(width) + right).join('\n')
}
